-- Runs as it is on SQLite and PostgreSQL: TEXT and BIGINT only, times in milliseconds UTC, JSON as TEXT.
-- What belongs to a visit refers to it with its tenant, so that no row can cross tenants.

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    role TEXT NOT NULL,
    secret_sha256 TEXT NOT NULL UNIQUE,
    created_ms BIGINT NOT NULL,
    revoked_ms BIGINT
);
CREATE INDEX api_keys_tenant ON api_keys (tenant, id);

CREATE TABLE visits (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    external_id TEXT,
    state TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    customer_name TEXT NOT NULL,
    rep_id TEXT NOT NULL,
    rep_name TEXT NOT NULL,
    scheduled_ms BIGINT,
    purpose TEXT,
    hotwords TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    started_ms BIGINT,
    ended_ms BIGINT,
    failure TEXT,
    -- The seq of the last event.
    last_seq BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX visits_state ON visits (state, tenant, id);

CREATE TABLE consents (
    tenant TEXT NOT NULL,
    visit_id TEXT NOT NULL,
    id TEXT NOT NULL,
    purposes TEXT NOT NULL,
    notice_version TEXT NOT NULL,
    method TEXT NOT NULL,
    given_by TEXT NOT NULL,
    given_ms BIGINT NOT NULL,
    recorded_ms BIGINT NOT NULL,
    withdrawn_ms BIGINT,
    PRIMARY KEY (tenant, visit_id, id),
    FOREIGN KEY (tenant, visit_id) REFERENCES visits (tenant, id)
);

CREATE TABLE streams (
    tenant TEXT NOT NULL,
    visit_id TEXT NOT NULL,
    format TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    total_bytes BIGINT,
    PRIMARY KEY (tenant, visit_id),
    FOREIGN KEY (tenant, visit_id) REFERENCES visits (tenant, id)
);

CREATE TABLE segments (
    tenant TEXT NOT NULL,
    visit_id TEXT NOT NULL,
    id TEXT NOT NULL,
    start_ms BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (tenant, visit_id, id),
    FOREIGN KEY (tenant, visit_id) REFERENCES visits (tenant, id)
);

CREATE TABLE results (
    tenant TEXT NOT NULL,
    visit_id TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (tenant, visit_id),
    FOREIGN KEY (tenant, visit_id) REFERENCES visits (tenant, id)
);

CREATE TABLE cards (
    tenant TEXT NOT NULL,
    visit_id TEXT NOT NULL,
    body TEXT NOT NULL,
    -- The request that confirmed it: the version it had seen, its edits, its key. NULL while pending.
    seen_version BIGINT,
    edits TEXT,
    confirmed_by TEXT,
    confirmed_ms BIGINT,
    PRIMARY KEY (tenant, visit_id),
    FOREIGN KEY (tenant, visit_id) REFERENCES visits (tenant, id)
);

-- What a salesperson corrected: the examples of later training.
CREATE TABLE labels (
    tenant TEXT NOT NULL,
    visit_id TEXT NOT NULL,
    field TEXT NOT NULL,
    predicted TEXT NOT NULL,
    chosen TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, visit_id, field),
    FOREIGN KEY (tenant, visit_id) REFERENCES visits (tenant, id)
);

CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    tenant TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    -- SHA-256 over the hash of the row before and every column of this one.
    hash TEXT NOT NULL
);
-- One row: where the chain ends. Appending updates it first, which puts appends in order on both databases.
CREATE TABLE audit_head (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');

CREATE TABLE endpoints (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    disabled_ms BIGINT,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE endpoint_secrets (
    tenant TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    secret TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT,
    PRIMARY KEY (endpoint_id, secret),
    FOREIGN KEY (tenant, endpoint_id) REFERENCES endpoints (tenant, id)
);

CREATE TABLE events (
    tenant TEXT NOT NULL,
    visit_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    -- The exact bytes that every attempt sends.
    body TEXT NOT NULL,
    PRIMARY KEY (tenant, visit_id, seq),
    FOREIGN KEY (tenant, visit_id) REFERENCES visits (tenant, id)
);

CREATE TABLE deliveries (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    visit_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    -- waiting, due, sending, delivered or dead. Of one endpoint and visit at most one is due or sending.
    state TEXT NOT NULL,
    -- due: when to try. sending: when the claim runs out. Otherwise NULL.
    due_ms BIGINT,
    fence BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    last_error TEXT,
    settled_ms BIGINT,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, endpoint_id) REFERENCES endpoints (tenant, id),
    FOREIGN KEY (tenant, visit_id, seq) REFERENCES events (tenant, visit_id, seq)
);
CREATE UNIQUE INDEX deliveries_id ON deliveries (id);
CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint_id, state, due_ms);
CREATE INDEX deliveries_by_visit ON deliveries (endpoint_id, visit_id, state, seq);
CREATE INDEX deliveries_by_time ON deliveries (state, due_ms);

CREATE TABLE idempotency (
    tenant TEXT NOT NULL,
    idem_key TEXT NOT NULL,
    request TEXT NOT NULL,
    body_sha256 TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    -- NULL while the first request is being worked on.
    status BIGINT,
    body TEXT,
    PRIMARY KEY (tenant, idem_key)
);
CREATE INDEX idempotency_age ON idempotency (created_ms);
