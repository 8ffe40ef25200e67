BEGIN TRANSACTION;
CREATE TABLE chariots_job_events (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	app TEXT NOT NULL, 
	job_id TEXT NOT NULL, 
	at REAL NOT NULL, 
	kind TEXT NOT NULL, 
	status TEXT NOT NULL, 
	reason TEXT, 
	attempt BIGINT NOT NULL, 
	data TEXT
);
INSERT INTO "chariots_job_events" VALUES(1,'shop','a4d3c07645a58e695445e8fb53f1fca8',1.79598921260498476035e+09,'state','queued',NULL,0,NULL);
INSERT INTO "chariots_job_events" VALUES(2,'shop','a4d3c07645a58e695445e8fb53f1fca8',1.79598921260800218581e+09,'state','running',NULL,1,NULL);
INSERT INTO "chariots_job_events" VALUES(3,'shop','a4d3c07645a58e695445e8fb53f1fca8',1.79598921261101961135e+09,'state','done',NULL,1,NULL);
INSERT INTO "chariots_job_events" VALUES(4,'shop','78bbb9e9c4eb0df456fea71077564c6c',1.79598921262900376315e+09,'state','queued',NULL,0,NULL);
CREATE TABLE chariots_job_workers (
	app TEXT NOT NULL, 
	id TEXT NOT NULL, 
	backend TEXT NOT NULL, 
	queues TEXT NOT NULL, 
	host TEXT NOT NULL, 
	pid BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	job_id TEXT, 
	started_at REAL NOT NULL, 
	seen_at REAL NOT NULL, 
	alive_until REAL NOT NULL, 
	PRIMARY KEY (app, id)
);
CREATE TABLE chariots_jobs (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	app TEXT NOT NULL, 
	id TEXT NOT NULL, 
	pipeline TEXT NOT NULL, 
	backend TEXT NOT NULL, 
	queue TEXT NOT NULL, 
	status TEXT NOT NULL, 
	reason TEXT, 
	priority BIGINT NOT NULL, 
	attempt BIGINT NOT NULL, 
	max_attempts BIGINT NOT NULL, 
	token BIGINT NOT NULL, 
	generation BIGINT NOT NULL, 
	cancel_requested BOOLEAN NOT NULL, 
	worker TEXT, 
	timeout REAL, 
	retry_delay REAL NOT NULL, 
	queue_timeout REAL, 
	resend_after REAL, 
	result_ttl REAL NOT NULL, 
	created_at REAL NOT NULL, 
	queued_at REAL, 
	started_at REAL, 
	finished_at REAL, 
	expires_at REAL, 
	published_at REAL, 
	lease_until REAL, 
	due_at REAL, 
	resend_at REAL, 
	queue_expires_at REAL, 
	wake_at REAL GENERATED ALWAYS AS (
CASE status
  WHEN 'running' THEN lease_until
  WHEN 'queued' THEN
    CASE WHEN queue_expires_at IS NULL OR resend_at <= queue_expires_at
         THEN resend_at ELSE queue_expires_at END
  WHEN 'deferred' THEN
    CASE WHEN queue_expires_at IS NULL OR due_at <= queue_expires_at
         THEN due_at ELSE queue_expires_at END
  WHEN 'done' THEN
    CASE WHEN manifest_json IS NOT NULL AND published_at IS NULL
         THEN coalesce(resend_at, finished_at) END
END
) STORED, 
	idempotency_key TEXT, 
	idempotency_digest TEXT, 
	progress TEXT, 
	versions TEXT, 
	error TEXT, 
	input_ref TEXT, 
	value_ref TEXT, 
	input_json TEXT, 
	value_json TEXT, 
	manifest_json TEXT
);
INSERT INTO "chariots_jobs" VALUES(1,'shop','a4d3c07645a58e695445e8fb53f1fca8','echo','local','default','done',NULL,0,1,1,1,1,0,'vm-30655-6010cee4',NULL,0.0,86400.0,NULL,604800.0,1.79598921260401916499e+09,1.79598921260401916499e+09,1.79598921260800218581e+09,1.79598921261101961135e+09,1.79659401261101961139e+09,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"echo":"da39a3ee5e6b4b0d3255bfef95601890afd80709.da39a3ee5e6b4b0d3255bfef95601890afd80709.da39a3ee5e6b4b0d3255bfef95601890afd80709_2026-11-29T21:53:32.575750+00:00"}',NULL,NULL,NULL,'"done"','"done"',NULL);
INSERT INTO "chariots_jobs" VALUES(2,'shop','78bbb9e9c4eb0df456fea71077564c6c','echo','local','default','queued',NULL,0,0,1,0,1,0,NULL,NULL,0.0,86400.0,NULL,604800.0,1.79598921262900376315e+09,1.79598921262900376315e+09,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1.79607561262900376321e+09,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'"waits"',NULL,NULL);
CREATE TABLE chariots_schema (
	component VARCHAR(100) NOT NULL, 
	version INTEGER NOT NULL, 
	PRIMARY KEY (component)
);
INSERT INTO "chariots_schema" VALUES('jobs',1);
CREATE UNIQUE INDEX chariots_jobs_idempotency ON chariots_jobs (app, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX chariots_jobs_claimable ON chariots_jobs (app, backend, queue, priority DESC, seq) WHERE status = 'queued';
CREATE INDEX chariots_jobs_expires ON chariots_jobs (app, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX chariots_jobs_newest ON chariots_jobs (app, seq, created_at);
CREATE INDEX chariots_jobs_status ON chariots_jobs (app, status, seq);
CREATE UNIQUE INDEX chariots_jobs_id ON chariots_jobs (app, id);
CREATE INDEX chariots_jobs_pipeline ON chariots_jobs (app, pipeline, seq);
CREATE INDEX chariots_jobs_wake_queued ON chariots_jobs (app, wake_at) WHERE wake_at IS NOT NULL AND status = 'queued';
CREATE INDEX chariots_jobs_wake ON chariots_jobs (app, wake_at) WHERE wake_at IS NOT NULL AND status <> 'queued';
CREATE INDEX chariots_job_events_job ON chariots_job_events (app, job_id, seq);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('chariots_jobs',2);
INSERT INTO "sqlite_sequence" VALUES('chariots_job_events',4);
COMMIT;
