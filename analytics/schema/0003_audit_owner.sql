-- Whose an audit record is.

ALTER TABLE audit
    ADD COLUMN IF NOT EXISTS owner Map(LowCardinality(String), String) COMMENT 'Owner variables of what was acted upon, as they were then' AFTER node
