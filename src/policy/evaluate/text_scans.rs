//! What stands in the texts of a body, looked for when the first rule asks.

use crate::detect::{Confidence, Finding};
use crate::event::{Class, Direction, Event, Form, Kind, Known, NodeName, Text};
use crate::policy::context::Context;
use crate::policy::evaluate::path_readings;
use crate::policy::evaluate::value::line;
use crate::policy::scalar::TextValue;
use crate::policy::scan::Scans;
use crate::policy::text_scan::{CrossTextMatch, MatchKinds, TextScan};
use crate::policy::{cross_text, embedded_data};
use crate::wire::json::{NodeId, Value};
use crate::wire::sorted_map::SortedMap;
use crate::wire::span::index;

/// Shorter identifiers hold neither an unmistakable secret nor the number of a card.
const SHORTEST_NAME: usize = 13;

impl<'a> Context<'a> {
    pub(crate) fn value(&self, place: NodeId) -> Option<Value<'a>> {
        self.json.value(place)
    }

    pub(crate) fn text(&self, number: u32) -> Option<TextValue<'a>> {
        let text = self.text_info(number)?;
        let value = self.json.value(text.place)?;
        Some(TextValue::in_body(value, Some(number), text.form))
    }

    pub(crate) fn string(&self, value: Value<'a>) -> TextValue<'a> {
        TextValue::in_body(value, None, Form::String)
    }

    fn text_info(&self, number: u32) -> Option<&'a Text> {
        self.reading.texts.get(index(number))
    }

    /// Whether an unmistakable secret stands in an identifier; or in a name, the number of a card or an account.
    pub fn is_unmistakable(&self, direction: Direction, identifier: &Text) -> bool {
        let value = self.json.value(identifier.place);
        let Some(value) = value.filter(|value| value.raw_content().len() >= SHORTEST_NAME) else {
            return false;
        };
        // Not kept: what else looks like something in an identifier is not told.
        self.with_scan(
            direction,
            &self.string(value),
            MatchKinds::DETECTORS,
            |scan| {
                let mut findings = scan.findings.iter();
                findings.any(|finding| {
                    self.is_secret(finding)
                        || (identifier.class == Class::Name && self.has_check_digit(finding))
                })
            },
        )
    }

    fn has_check_digit(&self, finding: &Finding) -> bool {
        let name = self.policy.matcher.detectors.name(finding.detector);
        finding.confidence >= Confidence::Medium && matches!(name, Some("credit_card" | "iban"))
    }

    fn is_secret(&self, finding: &Finding) -> bool {
        finding.confidence == Confidence::High
            && self.policy.matcher.detectors.is_secret(finding.detector)
    }

    /// What a detector may find in a text of this class: in identifiers and opaque strings only unmistakable secrets.
    pub(super) fn counts(&self, text: &TextValue<'_>, finding: &Finding) -> bool {
        let class = text
            .number
            .and_then(|number| self.text_info(number))
            .map_or(Class::Text, |text| text.class);
        if !matches!(class, Class::Id | Class::Opaque) {
            return true;
        }
        self.is_secret(finding)
    }

    /// The scan of a text for what is asked; kept if the text is one of the body's. Detectors look at each text that
    /// anything is asked of: the record counts what they find.
    pub(super) fn with_scan<T>(
        &self,
        direction: Direction,
        text: &TextValue<'a>,
        asked: MatchKinds,
        use_scan: impl FnOnce(&TextScan) -> T,
    ) -> T {
        let mut own = TextScan::default();
        let mut scans = self.scans.borrow_mut();
        use_scan(self.scanned(direction, text, asked, &mut scans, &mut own))
    }

    #[inline(never)]
    fn scanned<'s>(
        &self,
        direction: Direction,
        text: &TextValue<'a>,
        asked: MatchKinds,
        scans: &'s mut Scans,
        own: &'s mut TextScan,
    ) -> &'s TextScan {
        let mut wants = self.policy.needs.wants(direction);
        wants.detectors &= !scans.skips_detectors;
        let all = wants;
        // No detector looks at a list as one text: it sees its values.
        let is_line = text.is_line();
        let wants = wants.and(MatchKinds {
            detectors: !is_line,
            ..asked
        });
        let info = text.number.and_then(|number| self.text_info(number));
        let name = match (info, text.value) {
            (Some(info), _) => [info.key, info.over],
            // A rule asks about a value of arguments or of a result.
            (None, Some(value)) if wants.detectors => scans.name_of(value),
            _ => [None; 2],
        };
        let slot = match (text.value, text.number) {
            (Some(list), _) if is_line => scans.lists.slot(list.place()),
            (_, Some(number)) => {
                let place = index(number);
                if scans.list.len() <= place {
                    let all = self.reading.texts.len();
                    scans.list.reserve(all.saturating_sub(scans.list.len()));
                    scans.list.resize(place.saturating_add(1), None);
                }
                let slot = scans.list.get_mut(place);
                if let Some(slot @ None) = slot {
                    let splits = scans.splits.get_or_insert_with(|| self.splits(all));
                    *slot = Some(TextScan {
                        splits: cross_text::of_text(number, splits).to_vec(),
                        ..TextScan::default()
                    });
                }
                scans.list.get_mut(place)
            }
            _ => None,
        };
        let slot = slot.map(|slot| slot.get_or_insert_with(TextScan::default));
        let scan = slot.unwrap_or(own);
        let missing = wants.without(scan.looked);
        if missing != MatchKinds::default() {
            let [nearest, over] = name.map(|place| self.json.value(place?));
            let name = NodeName {
                nearest,
                over,
                is_own: false,
            };
            let key = name.words();
            // A text of a response may also come in pieces: then it can't be read as data.
            let is_data = info.is_some_and(|info| {
                info.is_data || direction == Direction::Request && info.is_editable()
            });
            let (key, scratch) = (key.as_deref(), &mut *self.scratch.borrow_mut());
            let matcher = &self.policy.matcher;
            matcher.scan(&text.text(), key, is_data, missing, scratch, scan);
            if missing.detectors
                && text.form == Form::Number
                && let Some(whole) = text.value.and_then(embedded_data::whole)
            {
                matcher.scan(&whole, key, false, MatchKinds::DETECTORS, scratch, scan);
            }
        }
        scan
    }

    /// What goes over several texts of the body.
    pub(super) fn splits(&self, wants: MatchKinds) -> Vec<CrossTextMatch> {
        if !wants.detectors && !wants.literals {
            return Vec::new();
        }
        let scratch = &mut self.scratch.borrow_mut();
        cross_text::find(
            self.reading,
            self.json,
            &self.policy.matcher,
            wants,
            scratch,
        )
    }

    /// Whether anything of what is asked stands in an event's texts, or in one of its lists as one text.
    pub(super) fn has_hit(&self, event: &Event, asked: MatchKinds) -> bool {
        event
            .texts
            .clone()
            .filter_map(|number| self.text(number))
            .any(|text| self.with_scan(event.direction, &text, asked, |scan| !scan.is_blank()))
            || self.has_lists(event) && self.has_hit_in_lists(event, asked)
    }

    #[inline(never)]
    fn has_hit_in_lists(&self, event: &Event, asked: MatchKinds) -> bool {
        let mut is_hit = false;
        self.each_list(event, &mut |list| {
            let has_hit = |scan: &TextScan| !scan.is_blank();
            is_hit = is_hit || self.with_scan(event.direction, &list, asked, has_hit);
        });
        is_hit
    }

    /// Whether a call's arguments or a result hold a list that is also read as one text.
    pub(super) fn has_lists(&self, event: &Event) -> bool {
        let root = match event.kind {
            Kind::ToolCall => &event.args,
            Kind::ToolResult => &event.result,
            _ => return false,
        };
        let Known::Is(root) = root else { return false };
        self.find_lists(*root)
    }

    /// Whether arguments or a result hold such a list. From here on their lists are known.
    #[inline(never)]
    fn find_lists(&self, root: NodeId) -> bool {
        let lists = &mut self.scans.borrow_mut().lists;
        lists.go_to(root, |found| {
            if let Some(root) = self.json.value(root) {
                path_readings::each_line(root, self.json, &mut |list| found.push(list.place()));
            }
        });
        !lists.places.is_empty()
    }

    /// Calls `give` with each list of a call's arguments or of a result, as one text. Tells whether there is one.
    pub(super) fn each_list(&self, event: &Event, give: &mut dyn FnMut(TextValue<'a>)) -> bool {
        if !self.has_lists(event) {
            return false;
        }
        let mut at = 0;
        loop {
            // Who is given one scans it, and its scan is kept where the places are.
            let place = self.scans.borrow().lists.places.get(at).copied();
            let Some(place) = place else { return true };
            if let Some(list) = self.json.value(place) {
                give(line(list));
            }
            at = at.saturating_add(1);
        }
    }

    /// How often each detector found something in the texts that rules looked at.
    pub fn finding_counts(&self) -> SortedMap<Box<str>, u64> {
        let mut counts: SortedMap<Box<str>, u64> = SortedMap::new();
        let scans = self.scans.borrow();
        let findings = scans.list.iter().flatten().flat_map(|scan| {
            let splits = scan.splits.iter().filter(|split| split.is_first);
            scan.findings
                .iter()
                .chain(splits.map(|split| &split.finding))
        });
        for finding in findings {
            let Some(name) = self.policy.matcher.detectors.name(finding.detector) else {
                continue;
            };
            match counts.get_mut(name) {
                Some(count) => *count = count.saturating_add(1),
                None => {
                    counts.insert(name.into(), 1);
                }
            }
        }
        counts
    }
}
