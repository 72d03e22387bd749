-- The moments that the confirming request said were none: JSON list of their ids.
ALTER TABLE cards ADD COLUMN dismissed TEXT NOT NULL DEFAULT '[]';
