//! Tree of a condition, as it is written and as it is compiled, with the only walk over it.

use super::operators::Polarity;

/// Condition whose tests, lists and questions about the conversation have these types.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ConditionTree<T, L, E> {
    /// All parts match.
    All(Vec<Self>),
    /// A part matches.
    Any(Vec<Self>),
    /// The part does not match.
    Not(Box<Self>),
    /// A field is tested.
    Test(T),
    /// One item of a list matches a condition: `args.items: { any_item: { … } }`.
    AnyItem { list: L, condition: Box<Self> },
    /// The conversation before the event contains matching events: `earlier: { tool: … }`.
    Earlier(E),
}

/// Part of a condition without parts of its own in the same event.
#[derive(Clone, Copy)]
pub(crate) enum Leaf<'c, T, L, E> {
    Test(&'c T),
    AnyItem(&'c L, &'c ConditionTree<T, L, E>),
    Earlier(&'c E),
}

/// Visit of a leaf, with its polarity.
pub(crate) type VisitLeaf<'v, 'c, T, L, E, R> = &'v mut dyn FnMut(Leaf<'c, T, L, E>, Polarity) -> R;

/// Joins of the results of parts. A part is only visited when its result is needed.
pub(crate) struct Joins<R> {
    /// Joins the parts of `all`; the flag is `true` within an odd number of `not`.
    pub(crate) all: fn(bool, &mut dyn Iterator<Item = R>) -> R,
    /// Joins the parts of `any` in the same way.
    pub(crate) any: fn(bool, &mut dyn Iterator<Item = R>) -> R,
    /// Returns the result of `not` from that of its part.
    pub(crate) not: fn(&mut dyn FnMut() -> R) -> R,
}

impl Joins<bool> {
    /// Truth of a condition from the truth of its leaves.
    pub(crate) const TRUTH: Joins<bool> = Joins {
        all: |_, mut parts| Iterator::all(&mut parts, |part| part),
        any: |_, mut parts| Iterator::any(&mut parts, |part| part),
        not: |inner| !inner(),
    };

    /// Returns whether something applies to every leaf.
    pub(crate) const EVERY_LEAF: Joins<bool> = Joins {
        all: Joins::TRUTH.all,
        any: Joins::TRUTH.all,
        not: |inner| inner(),
    };

    /// Returns whether something applies to every leaf outside of any `not`.
    const EVERY_POSITIVE_LEAF: Joins<bool> = Joins {
        not: |_| true,
        ..Joins::EVERY_LEAF
    };
}

impl<T, L, E> ConditionTree<T, L, E> {
    /// Returns the result of a condition from the results of its leaves. `side` is its polarity, which `not` flips.
    pub(crate) fn fold<'c, R>(
        &'c self,
        side: Polarity,
        joins: &Joins<R>,
        leaf: VisitLeaf<'_, 'c, T, L, E, R>,
    ) -> R {
        self.fold_within((side, false), joins, leaf)
    }

    // Inlined level by level, it would take 16 KB of the filter.
    #[inline(never)]
    fn fold_within<'c, R>(
        &'c self,
        within: (Polarity, bool),
        joins: &Joins<R>,
        leaf: VisitLeaf<'_, 'c, T, L, E, R>,
    ) -> R {
        let (side, negated) = within;
        match self {
            ConditionTree::All(list) => {
                let parts = list.iter();
                let mut parts = parts.map(|part| part.fold_within(within, joins, leaf));
                (joins.all)(negated, &mut parts)
            }
            ConditionTree::Any(list) => {
                let parts = list.iter();
                let mut parts = parts.map(|part| part.fold_within(within, joins, leaf));
                (joins.any)(negated, &mut parts)
            }
            ConditionTree::Not(inner) => {
                let within = (side.flipped(), !negated);
                (joins.not)(&mut || inner.fold_within(within, joins, leaf))
            }
            ConditionTree::Test(test) => leaf(Leaf::Test(test), side),
            ConditionTree::AnyItem { list, condition } => {
                leaf(Leaf::AnyItem(list, condition), side)
            }
            ConditionTree::Earlier(earlier) => leaf(Leaf::Earlier(earlier), side),
        }
    }

    /// Calls `visit` with each leaf and its polarity.
    ///
    /// Visits are folds of `true`, so that the walk is compiled once for both.
    pub(crate) fn each_leaf<'c>(&'c self, side: Polarity, visit: VisitLeaf<'_, 'c, T, L, E, ()>) {
        self.fold(side, &Joins::EVERY_LEAF, &mut |leaf, side| {
            visit(leaf, side);
            true
        });
    }

    /// Calls `visit` with every test of the event itself.
    pub(crate) fn each_test<'c>(&'c self, visit: &mut dyn FnMut(&'c T)) {
        self.each_test_by(&Joins::EVERY_LEAF, visit);
    }

    /// Calls `visit` with every test outside of any `not`.
    pub(crate) fn each_positive_test<'c>(&'c self, visit: &mut dyn FnMut(&'c T)) {
        self.each_test_by(&Joins::EVERY_POSITIVE_LEAF, visit);
    }

    fn each_test_by<'c>(&'c self, joins: &Joins<bool>, visit: &mut dyn FnMut(&'c T)) {
        self.fold(Polarity::Restricting, joins, &mut |leaf, _| {
            if let Leaf::Test(test) = leaf {
                visit(test);
            }
            true
        });
    }
}
