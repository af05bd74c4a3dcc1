BEGIN TRANSACTION;
CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL, line TEXT NOT NULL) STRICT;
INSERT INTO "event" VALUES(1,1,'{"event":"job.taken"}');
CREATE TABLE instance (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    state TEXT NOT NULL,
    name BLOB,
    path BLOB,
    source TEXT,
    sop_class_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    data_set_offset INTEGER NOT NULL,
    file_size INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    failing_since REAL,
    not_before REAL NOT NULL DEFAULT 0,
    status INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    exit_code INTEGER NOT NULL DEFAULT 0,
    ended_at REAL
) STRICT
;
INSERT INTO "instance" VALUES(1,1,'done',NULL,X'2F642F302E64636D','{"modified":0}','','','',4,14,0,NULL,0.0,NULL,'',0,1700000000.0);
INSERT INTO "instance" VALUES(2,1,'failed',NULL,X'2F642F312E64636D','{"modified":1}','','','',4,14,1,1700000000.0,0.0,NULL,'no',0,1700000000.0);
INSERT INTO "instance" VALUES(3,2,'pending',NULL,X'2F642F302E64636D','{"modified":0}','','','',4,14,0,NULL,0.0,NULL,'',0,NULL);
INSERT INTO "instance" VALUES(4,2,'pending',NULL,X'2F642F312E64636D','{"modified":1}','','','',4,14,0,NULL,0.0,NULL,'',0,NULL);
INSERT INTO "instance" VALUES(5,3,'pending',NULL,X'2F642F302E64636D','{"modified":0}','','','',4,14,0,NULL,0.0,NULL,'',0,NULL);
INSERT INTO "instance" VALUES(6,3,'pending',NULL,X'2F642F312E64636D','{"modified":1}','','','',4,14,0,NULL,0.0,NULL,'',0,NULL);
INSERT INTO "instance" VALUES(7,4,'pending',NULL,X'2F642F302E64636D','{"modified":0}','','','',4,14,0,NULL,0.0,NULL,'',0,NULL);
INSERT INTO "instance" VALUES(8,4,'pending',NULL,X'2F642F312E64636D','{"modified":1}','','','',4,14,0,NULL,0.0,NULL,'',0,NULL);
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    peer TEXT NOT NULL,
    options TEXT NOT NULL,
    priority INTEGER NOT NULL,
    hours TEXT NOT NULL,
    octets_per_second INTEGER,
    origin TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at REAL NOT NULL,
    not_before REAL NOT NULL DEFAULT 0,
    started_at REAL,
    ended_at REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    failing_since REAL,
    reason TEXT NOT NULL DEFAULT '',
    exit_code INTEGER,
    worker TEXT,
    lease_until REAL,
    wish TEXT,
    instances INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    octets INTEGER NOT NULL DEFAULT 0,
    octets_done INTEGER NOT NULL DEFAULT 0,
    progress TEXT NOT NULL DEFAULT '{}'
) STRICT
;
INSERT INTO "job" VALUES(1,'send','A','{}',0,'',NULL,'','partial',1700000000.0,0.0,1700000000.0,1700000000.0,0,NULL,'1 of 2 failed',1,NULL,NULL,NULL,2,1,1,0,20,10,'{}');
INSERT INTO "job" VALUES(2,'send','B','{}',0,'',NULL,'','running',1700000000.0,0.0,1700000000.0,NULL,0,NULL,'',NULL,'b',1700000030.0,NULL,2,0,0,0,20,0,'{}');
INSERT INTO "job" VALUES(3,'send','C','{"aet":"WS1"}',0,'',NULL,'','waiting',1700000000.0,1700000009.0,1700000000.0,NULL,1,1700000000.0,'',NULL,NULL,NULL,NULL,2,0,0,0,20,0,'{}');
INSERT INTO "job" VALUES(4,'send','D','{}',5,'',NULL,'','queued',1700000000.0,0.0,NULL,NULL,0,NULL,'',NULL,NULL,NULL,NULL,2,0,0,0,20,0,'{}');
CREATE TABLE setting (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO "setting" VALUES('retries',1);
CREATE INDEX job_to_take ON job (state, priority DESC, id);
CREATE INDEX job_of_state ON job (state, id);
CREATE INDEX instance_of_job ON instance (job);
CREATE INDEX instance_pending ON instance (job, id, not_before) WHERE state = 'pending';
CREATE INDEX instance_failed ON instance (job) WHERE state = 'failed';
CREATE INDEX instance_path ON instance (path) WHERE state = 'pending' AND path IS NOT NULL;
CREATE INDEX event_of_job ON event (job);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('job',4);
INSERT INTO "sqlite_sequence" VALUES('event',1);
COMMIT;
PRAGMA user_version = 1;
