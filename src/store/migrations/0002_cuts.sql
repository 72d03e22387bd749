-- Where `finalize` cut the stream: JSON list of positions in samples at 16 kHz.
ALTER TABLE streams ADD COLUMN cuts TEXT NOT NULL DEFAULT '[]';
