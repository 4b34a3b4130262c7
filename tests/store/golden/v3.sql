BEGIN TRANSACTION;
CREATE TABLE attachments(pk INTEGER PRIMARY KEY, instance INTEGER NOT NULL, id TEXT NOT NULL, mime_type TEXT NOT NULL,
    body BLOB NOT NULL, UNIQUE(instance, id));
INSERT INTO "attachments" VALUES(1,1,'5555555555555555555555555555555555555555555555555555555555555555','image/png',X'89504E47');
CREATE TABLE entries(session INTEGER NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, at INTEGER NOT NULL,
    submission TEXT, body BLOB NOT NULL, UNIQUE(session, seq));
INSERT INTO "entries" VALUES(1,1,'message',1,'sub_1',X'7B2274657874223A226869227D');
INSERT INTO "entries" VALUES(1,2,'message',2,'sub_1',X'7B2274657874223A226861227D');
INSERT INTO "entries" VALUES(2,1,'message',11,'sub_2',X'7B7D');
CREATE TABLE instances(pk INTEGER PRIMARY KEY, agent TEXT NOT NULL, id TEXT NOT NULL, part INTEGER NOT NULL,
    UNIQUE(agent, id));
INSERT INTO "instances" VALUES(1,'joke-teller','user-1',802);
CREATE TABLE journal(pk INTEGER PRIMARY KEY, submission TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
    body BLOB NOT NULL, after INTEGER NOT NULL, spent_ms INTEGER NOT NULL, attempt INTEGER NOT NULL);
INSERT INTO "journal" VALUES(1,'sub_2','text','turn_1',X'4F6E6365',2,9,2);
INSERT INTO "journal" VALUES(2,'sub_3','approval','c1',X'796573',2,1,1);
CREATE TABLE kv(instance INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY(instance, kind, name));
INSERT INTO "kv" VALUES(1,'state','mood',X'22676F6F6422');
CREATE TABLE meta(key TEXT PRIMARY KEY, value);
INSERT INTO "meta" VALUES('epoch',1);
INSERT INTO "meta" VALUES('seq',0);
INSERT INTO "meta" VALUES('format_version',3);
CREATE TABLE sessions(pk INTEGER PRIMARY KEY, instance INTEGER NOT NULL, name TEXT NOT NULL, parent INTEGER,
    created_at INTEGER NOT NULL, UNIQUE(instance, name));
INSERT INTO "sessions" VALUES(1,1,'default',NULL,1);
INSERT INTO "sessions" VALUES(2,1,'task:default:c0',1,11);
CREATE TABLE submissions(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, instance INTEGER NOT NULL,
    session INTEGER NOT NULL, part INTEGER NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL, outcome TEXT,
    attempt INTEGER NOT NULL, accepted_at INTEGER NOT NULL, started_at INTEGER, settled_at INTEGER, deadline INTEGER,
    dispatch_id TEXT, version TEXT, fingerprint TEXT, principal BLOB, payload BLOB NOT NULL, result BLOB, error BLOB, policy TEXT NOT NULL DEFAULT 'queue', excused INTEGER NOT NULL DEFAULT 0, spent_ms INTEGER NOT NULL DEFAULT 0, host TEXT, abort TEXT, idempotency_key TEXT, loose INTEGER NOT NULL DEFAULT 1);
INSERT INTO "submissions" VALUES(1,'sub_1',1,1,802,'direct','settled','completed',1,1,4,5,9,NULL,'v1','f1',X'7B227375626A656374223A2275227D',X'7B226D657373616765223A226869227D',X'7B2274657874223A226861227D',NULL,'steer',0,0,NULL,NULL,'order 1',1);
INSERT INTO "submissions" VALUES(2,'sub_2',1,1,802,'direct','running',NULL,2,2,6,NULL,NULL,NULL,NULL,NULL,X'7B227375626A656374223A2275227D',X'7B226D657373616765223A226869227D',NULL,NULL,'steer',1,7,'sub_1','aborted','order 2',0);
INSERT INTO "submissions" VALUES(3,'sub_3',1,1,802,'direct','waiting',NULL,1,3,10,NULL,NULL,NULL,NULL,NULL,X'7B227375626A656374223A2275227D',X'7B226D657373616765223A226869227D',NULL,NULL,'steer',1,3,NULL,NULL,'order 3',0);
CREATE INDEX submissions_open ON submissions(instance, seq) WHERE outcome IS NULL;
CREATE UNIQUE INDEX submissions_idempotent ON submissions(session, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX submissions_loose ON submissions(session) WHERE loose = 1;
CREATE INDEX journal_submission ON journal(submission);
CREATE INDEX sessions_parent ON sessions(parent) WHERE parent IS NOT NULL;
COMMIT;
