//! Days as they are spoken: 后天, 下周三, 十一月三十号, 月底前, 国庆后.
//!
//! [`mentions`] finds them without knowing what day it is; [`Calendar`] turns them into dates. Weeks begin on
//! Monday. "Before" a day is that day; a week stands for its Friday and a month's end for its last day, which
//! is when a promise for then is due. Hours are not read.

mod calendar;
mod months;
mod reading;

pub use calendar::Calendar;
pub use reading::mentions;

/// A day spoken of, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mention {
    /// Index of its first character.
    pub start: usize,
    /// Index after the day itself.
    pub day_end: usize,
    /// Index after its last character, with 之前, 上午, 两点 and the like.
    pub end: usize,
    /// What was said.
    pub day: Day,
}

/// What was said, before it is known what day it is today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// So many days on; 0 is today.
    InDays(i64),
    /// So many working days on.
    InWorkdays(i64),
    /// So many months on.
    InMonths(i64),
    /// Monday (1) to Sunday (7) of the week so many weeks on; without a week, the next to come.
    Weekday {
        /// 0 this week, 1 the next.
        week: Option<i64>,
        /// 1 to 7.
        day: i8,
    },
    /// Some time in the week so many weeks on.
    Week(i64),
    /// A day of a month; without a month, the next to come.
    InMonth {
        /// The year, if it was said.
        year: Option<Year>,
        /// The month, if it was said.
        month: Option<Month>,
        /// The day.
        day: DayOfMonth,
    },
    /// The end of the quarter so many quarters on.
    QuarterEnd(i64),
    /// The end of the first (1) to last (4) quarter.
    NamedQuarterEnd(i8),
    /// Before or after a festival, by its place in the calendar; without one, the next to come.
    Festival {
        /// Its place in the calendar.
        festival: Option<usize>,
        /// After it rather than before.
        after: bool,
    },
    /// So many days after the first day of a festival: 初八.
    FromFestival {
        /// Its place in the calendar.
        festival: usize,
        /// Days on.
        days: i64,
    },
    /// 当天: the day that was spoken of before; [`mentions`] puts that one in its place, and gives none of these.
    ThatDay,
    /// A time, but no day: 下个月, 明年, 过几天.
    Vague,
    /// A day gone by.
    Past,
}

/// A year as said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Year {
    /// So many years on.
    Relative(i64),
    /// By its number.
    Named(i16),
}

/// A month as said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Month {
    /// So many months on.
    Relative(i64),
    /// By its number.
    Named(i8),
}

/// A day of a month as said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayOfMonth {
    /// By its number; 初 is the first, 上旬 the tenth, 中 the fifteenth.
    Nth(i8),
    /// 底, 末, 下旬.
    Last,
}
