//! Paging: a statement cut to the page that a list call asks for, on the column that the list is ordered by.
//!
//! A macro and not a function, because every table makes another type of statement.

/// Orders a boxed statement by `column` and keeps what lies beyond the cursor of `query`, one row beyond its size.
macro_rules! paged {
    ($statement:expr, $column:expr, $query:expr) => {{
        use $crate::domain::page::Cursor::{After, Before};
        let (query, column) = ($query, $column);
        let ascending = query.reads_ascending();
        let mut statement = $statement.limit(query.size.with_one_more());
        if let Some(After(id) | Before(id)) = &query.cursor {
            statement = match ascending {
                true => statement.filter(column.gt(id.to_owned())),
                false => statement.filter(column.lt(id.to_owned())),
            };
        }
        match ascending {
            true => statement.order(column.asc()),
            false => statement.order(column.desc()),
        }
    }};
}

pub(super) use paged;
