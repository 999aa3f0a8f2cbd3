#![expect(clippy::string_slice, reason = "tests cut at boundaries")]

use super::*;

fn found(input: &Input<'_>) -> Vec<(&'static str, String)> {
    let mut findings = Vec::new();
    Scanner::new(&Selection::all(Confidence::Medium)).scan(
        input,
        &mut Scratch::default(),
        &mut findings,
    );
    findings
        .iter()
        .map(|f| {
            (
                DETECTORS[usize::from(f.detector)].name,
                input.text[f.range()].to_owned(),
            )
        })
        .collect()
}

#[test]
fn every_detector_finds_its_samples_and_leaves_the_others() {
    for detector in DETECTORS {
        let of = |text| -> Vec<String> {
            found(&Input::whole(text))
                .into_iter()
                .filter(|(name, _)| *name == detector.name)
                .map(|(_, t)| t)
                .collect()
        };
        for hit in detector.hits {
            assert_eq!(of(hit.text), hit.found, "{}: {}", detector.name, hit.text);
        }
        for miss in detector.misses {
            assert_eq!(
                of(miss.text),
                [""; 0],
                "{}: {} ({})",
                detector.name,
                miss.text,
                miss.why
            );
        }
    }
}

#[test]
fn text_in_pieces_has_the_findings_of_the_whole() {
    let scanner = Scanner::new(&Selection::all(Confidence::Medium));
    let mut scratch = Scratch::default();
    for detector in DETECTORS {
        for text in detector
            .hits
            .iter()
            .map(|hit| hit.text)
            .chain(detector.misses.iter().map(|miss| miss.text))
        {
            let mut whole = Vec::new();
            scanner.scan(&Input::whole(text), &mut scratch, &mut whole);
            for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
                let mut pieces = Vec::new();
                let safe = scanner.scan(&Input::open(&text[..cut], 0), &mut scratch, &mut pieces);
                assert!(pieces.iter().all(|finding| finding.end <= safe));
                scanner.scan(
                    &Input {
                        settled: safe,
                        ..Input::whole(text)
                    },
                    &mut scratch,
                    &mut pieces,
                );
                assert_eq!(pieces, whole, "{text} cut at {cut}");
            }
        }
    }
}

#[test]
fn disguised_values_are_found_with_their_own_bytes() {
    assert_eq!(
        found(&Input::whole(
            "pay ４１１１\u{200B} 1111&nbsp;1111 %31111 now"
        )),
        [(
            "credit_card",
            "４１１１\u{200B} 1111&nbsp;1111 %31111".to_owned()
        )]
    );
}
