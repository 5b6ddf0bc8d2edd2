CREATE TABLE checkpoint (
    size INTEGER NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (size)
);

CREATE TABLE clock (
    id INTEGER NOT NULL,
    newest DATETIME NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE log (
    "index" INTEGER NOT NULL,
    entry BLOB NOT NULL,
    PRIMARY KEY ("index")
);

CREATE TABLE model (
    name VARCHAR(63) NOT NULL,
    run TEXT NOT NULL,
    head VARCHAR(64) NOT NULL,
    policy TEXT NOT NULL,
    registered DATETIME NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE principal (
    name VARCHAR(63) NOT NULL,
    role VARCHAR(8) NOT NULL,
    PRIMARY KEY (name),
    CONSTRAINT role_is_known CHECK (role IN ('intake', 'approver', 'operator', 'auditor'))
);

CREATE TABLE request (
    id VARCHAR(36) NOT NULL,
    status VARCHAR(12) NOT NULL,
    regime VARCHAR(4) NOT NULL,
    submitter VARCHAR(63) NOT NULL,
    commitment VARCHAR(64) NOT NULL,
    count INTEGER NOT NULL,
    received DATETIME NOT NULL,
    due DATE NOT NULL,
    extended INTEGER DEFAULT '0' NOT NULL,
    reason VARCHAR(20),
    ground VARCHAR(1),
    held_from VARCHAR(12),
    PRIMARY KEY (id),
    CONSTRAINT status_is_known CHECK (status IN ('received', 'unverified', 'pending', 'approved', 'batched', 'running', 'measured', 'released', 'on_hold', 'error', 'partial', 'complete', 'denied', 'cancelled', 'duplicate')),
    CONSTRAINT regime_is_known CHECK (regime IN ('gdpr', 'ccpa')),
    CONSTRAINT reason_is_known CHECK (reason IN ('suspected_fraud', 'insuf_verification', 'no_match', 'claim_not_covered', 'outside_jurisdiction', 'too_many_requests', 'other')),
    CONSTRAINT ground_is_known CHECK (ground IN ('a', 'b', 'c', 'd', 'e')),
    CONSTRAINT a_denial_has_a_reason CHECK (status <> 'denied' OR reason IS NOT NULL),
    UNIQUE (commitment)
);

CREATE INDEX ended_by_due ON request (due, id) WHERE status IN ('cancelled', 'complete', 'denied', 'duplicate');

CREATE INDEX open_by_due ON request (due, id) WHERE status NOT IN ('cancelled', 'complete', 'denied', 'duplicate');

CREATE TABLE batch (
    id VARCHAR(36) NOT NULL,
    model VARCHAR(63) NOT NULL,
    status VARCHAR(16) NOT NULL,
    way VARCHAR(9) DEFAULT 'erase' NOT NULL,
    attempt INTEGER DEFAULT '0' NOT NULL,
    why VARCHAR(20),
    sealed DATETIME,
    PRIMARY KEY (id),
    CONSTRAINT status_is_known CHECK (status IN ('open', 'sealed', 'queued', 'running', 'measured', 'awaiting_release', 'rejected', 'error', 'released')),
    CONSTRAINT way_is_known CHECK (way IN ('erase', 'retrain')),
    FOREIGN KEY(model) REFERENCES model (name)
);

CREATE UNIQUE INDEX one_busy ON batch (model) WHERE status IN ('queued', 'running', 'measured', 'awaiting_release');

CREATE TABLE hold (
    id INTEGER NOT NULL,
    request VARCHAR(36) NOT NULL,
    "by" VARCHAR(63) NOT NULL,
    placed DATETIME NOT NULL,
    lifted DATETIME,
    PRIMARY KEY (id),
    FOREIGN KEY(request) REFERENCES request (id)
);

CREATE INDEX ix_hold_request ON hold (request);

CREATE TABLE request_target (
    request VARCHAR(36) NOT NULL,
    model VARCHAR(63) NOT NULL,
    state VARCHAR(12) NOT NULL,
    PRIMARY KEY (request, model),
    CONSTRAINT state_is_known CHECK (state IN ('waiting', 'batched', 'failed', 'erased', 'not_in_model', 'retained')),
    FOREIGN KEY(request) REFERENCES request (id),
    FOREIGN KEY(model) REFERENCES model (name)
);

CREATE INDEX by_state ON request_target (model, state);

CREATE TABLE token (
    hash VARCHAR(64) NOT NULL,
    principal VARCHAR(63) NOT NULL,
    expires DATETIME NOT NULL,
    revoked DATETIME,
    PRIMARY KEY (hash),
    FOREIGN KEY(principal) REFERENCES principal (name)
);

CREATE TABLE vault (
    request VARCHAR(36) NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (request),
    FOREIGN KEY(request) REFERENCES request (id)
);

CREATE TABLE attestation (
    batch VARCHAR(36) NOT NULL,
    release INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    envelope TEXT NOT NULL,
    PRIMARY KEY (batch),
    FOREIGN KEY(batch) REFERENCES batch (id),
    UNIQUE (release),
    UNIQUE (entry),
    FOREIGN KEY(entry) REFERENCES log ("index")
);

CREATE TABLE batch_request (
    batch VARCHAR(36) NOT NULL,
    request VARCHAR(36) NOT NULL,
    model VARCHAR(63) NOT NULL,
    outcome VARCHAR(12),
    PRIMARY KEY (batch, request),
    UNIQUE (request, model),
    FOREIGN KEY(batch) REFERENCES batch (id),
    FOREIGN KEY(request) REFERENCES request (id),
    FOREIGN KEY(model) REFERENCES model (name)
);

CREATE TABLE decision (
    id INTEGER NOT NULL,
    request VARCHAR(36),
    batch VARCHAR(36),
    kind VARCHAR(12) NOT NULL,
    "by" VARCHAR(63) NOT NULL,
    detail VARCHAR(40),
    time DATETIME NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT about_one_thing CHECK ((request IS NULL) <> (batch IS NULL)),
    FOREIGN KEY(request) REFERENCES request (id),
    FOREIGN KEY(batch) REFERENCES batch (id)
);

CREATE INDEX ix_decision_batch ON decision (batch);

CREATE INDEX ix_decision_request ON decision (request);

CREATE TABLE evaluation (
    id INTEGER NOT NULL,
    batch VARCHAR(36) NOT NULL,
    attempt INTEGER NOT NULL,
    name VARCHAR(20) NOT NULL,
    value FLOAT NOT NULL,
    low FLOAT,
    high FLOAT,
    oracle FLOAT,
    passed INTEGER NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (batch, attempt, name),
    FOREIGN KEY(batch) REFERENCES batch (id)
);

CREATE INDEX ix_evaluation_batch ON evaluation (batch);

CREATE TABLE lease (
    batch VARCHAR(36) NOT NULL,
    fence INTEGER NOT NULL,
    holder VARCHAR(63) NOT NULL,
    until DATETIME NOT NULL,
    PRIMARY KEY (batch),
    FOREIGN KEY(batch) REFERENCES batch (id)
);

CREATE TABLE model_version (
    digest VARCHAR(64) NOT NULL,
    model VARCHAR(63) NOT NULL,
    parent VARCHAR(64),
    kind VARCHAR(10) NOT NULL,
    state VARCHAR(10) NOT NULL,
    batch VARCHAR(36),
    run TEXT NOT NULL,
    head VARCHAR(64) NOT NULL,
    settings VARCHAR(64) NOT NULL,
    made DATETIME NOT NULL,
    PRIMARY KEY (digest),
    CONSTRAINT kind_is_known CHECK (kind IN ('trained', 'erased', 'retrained', 'derived')),
    CONSTRAINT state_is_known CHECK (state IN ('candidate', 'current', 'superseded', 'tainted', 'disposed')),
    FOREIGN KEY(model) REFERENCES model (name),
    FOREIGN KEY(parent) REFERENCES model_version (digest),
    UNIQUE (batch),
    FOREIGN KEY(batch) REFERENCES batch (id)
);

CREATE UNIQUE INDEX one_current ON model_version (model) WHERE state = 'current';

CREATE TABLE artifact (
    digest VARCHAR(64) NOT NULL,
    version VARCHAR(64) NOT NULL,
    derived_from VARCHAR(64),
    marking VARCHAR(15) NOT NULL,
    as_of INTEGER NOT NULL,
    disposed DATETIME,
    disposer VARCHAR(63),
    evidence VARCHAR(64),
    PRIMARY KEY (digest),
    CONSTRAINT a_disposal_has_evidence CHECK (disposed IS NULL OR evidence IS NOT NULL),
    CONSTRAINT marking_is_known CHECK (marking IN ('clean', 'contains_erased', 'unknown')),
    FOREIGN KEY(version) REFERENCES model_version (digest),
    FOREIGN KEY(derived_from) REFERENCES artifact (digest)
);

CREATE TABLE outbox (
    id INTEGER NOT NULL,
    kind VARCHAR(20) NOT NULL,
    request VARCHAR(36),
    version VARCHAR(64),
    made DATETIME NOT NULL,
    sent DATETIME,
    PRIMARY KEY (id),
    FOREIGN KEY(request) REFERENCES request (id),
    FOREIGN KEY(version) REFERENCES model_version (digest)
);

CREATE TABLE recipient (
    id INTEGER NOT NULL,
    version VARCHAR(64) NOT NULL,
    name VARCHAR(63) NOT NULL,
    notified DATETIME,
    acknowledged DATETIME,
    PRIMARY KEY (id),
    UNIQUE (version, name),
    FOREIGN KEY(version) REFERENCES model_version (digest)
);
