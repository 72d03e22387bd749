-- Which classifier judges and which one judges beside it: a row for each time that an operator chose. The last row
-- that was not refused counts. It belongs to no tenant: a model is the service's.
CREATE TABLE classifier_choices (
    seq BIGINT PRIMARY KEY,
    -- NULL: the one that the pipeline names.
    active TEXT,
    -- NULL: none.
    shadow TEXT,
    chosen_ms BIGINT NOT NULL,
    -- When a service first took it, and why one could not.
    taken_ms BIGINT,
    refused TEXT
);
