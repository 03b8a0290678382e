-- A made-up installation of openDeepWiki: six repositories, the tasks that describe them and the pages they wrote.
-- Plain SQL for an empty database, run as one transaction. Only two tables are tied to repositories by foreign keys;
-- every other reference is a plain number, and 0 means none.

CREATE TABLE repositories (
    id bigserial PRIMARY KEY,
    name varchar(255),
    url varchar(500),
    local_path varchar(500),
    description varchar(1000),
    clone_branch varchar(255),
    clone_commit varchar(100),
    size_mb numeric DEFAULT 0,
    status varchar(50) DEFAULT 'pending',
    error_msg varchar(1000),
    next_update_time timestamptz,
    today_activity_count bigint,
    last_activity_reset_date timestamptz,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE tasks (
    id bigserial PRIMARY KEY,
    repository_id bigint,
    doc_id bigint,
    writer_name varchar(255) DEFAULT 'DefaultWriter',
    task_type varchar(50),
    title text,
    outline text,
    status varchar(50) DEFAULT 'pending',
    run_after bigint,
    error_msg varchar(1000),
    sort_order bigint DEFAULT 0,
    started_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    FOREIGN KEY (repository_id) REFERENCES repositories(id)
);

CREATE TABLE documents (
    id bigserial PRIMARY KEY,
    repository_id bigint,
    task_id bigint,
    title varchar(255),
    filename varchar(255),
    content text,
    sort_order bigint DEFAULT 0,
    version bigint DEFAULT 1,
    is_latest boolean,
    replaced_by bigint,
    clone_branch varchar(255),
    clone_commit_id varchar(100),
    created_at timestamptz,
    updated_at timestamptz,
    FOREIGN KEY (repository_id) REFERENCES repositories(id)
);

CREATE TABLE task_usages (
    id bigserial PRIMARY KEY,
    task_id bigint NOT NULL,
    api_key_name varchar(255) NOT NULL,
    prompt_tokens bigint,
    completion_tokens bigint,
    total_tokens bigint,
    cached_tokens bigint,
    reasoning_tokens bigint,
    created_at timestamptz
);

CREATE TABLE api_keys (
    id bigserial PRIMARY KEY,
    name varchar(255) NOT NULL,
    provider varchar(50) NOT NULL,
    base_url varchar(500) NOT NULL,
    api_key text NOT NULL,
    model varchar(255) NOT NULL,
    priority bigint DEFAULT 0,
    status varchar(20) DEFAULT 'enabled',
    request_count bigint DEFAULT 0,
    error_count bigint DEFAULT 0,
    last_used_at timestamptz,
    rate_limit_reset_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz
);

CREATE TABLE agent_versions (
    id bigserial PRIMARY KEY,
    file_name varchar(255) NOT NULL,
    content text NOT NULL,
    version bigint NOT NULL,
    saved_at timestamptz NOT NULL,
    source varchar(50) NOT NULL DEFAULT 'web',
    restore_from_version bigint,
    created_at timestamptz NOT NULL
);

CREATE TABLE chat_sessions (
    id bigserial PRIMARY KEY,
    session_id varchar(64),
    repo_id bigint,
    title varchar(255),
    status varchar(20) DEFAULT 'active',
    visibility varchar(20) DEFAULT 'private',
    created_by bigint DEFAULT 0,
    message_count bigint DEFAULT 0,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE chat_messages (
    id bigserial PRIMARY KEY,
    session_id varchar(64),
    message_id varchar(64),
    parent_id varchar(64),
    role varchar(20),
    content text,
    content_type varchar(20) DEFAULT 'text',
    model varchar(50),
    token_used bigint DEFAULT 0,
    status varchar(20) DEFAULT 'completed',
    created_at timestamptz,
    completed_at timestamptz
);

CREATE TABLE document_ratings (
    id bigserial PRIMARY KEY,
    document_id bigint,
    score bigint,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE task_hints (
    id bigserial PRIMARY KEY,
    repository_id bigint,
    task_id bigint,
    title varchar(255),
    aspect varchar(255),
    source varchar(500),
    detail text,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE sync_events (
    id bigserial PRIMARY KEY,
    event_type varchar(50) NOT NULL,
    repository_id bigint NOT NULL,
    doc_id bigint NOT NULL,
    target_server varchar(500),
    success boolean,
    created_at timestamptz
);

CREATE TABLE sync_targets (
    id bigserial PRIMARY KEY,
    url varchar(500) NOT NULL,
    created_at timestamptz,
    updated_at timestamptz
);

CREATE TABLE user_requests (
    id bigserial PRIMARY KEY,
    repository_id bigint NOT NULL,
    content text NOT NULL,
    status varchar(50) NOT NULL DEFAULT 'pending',
    created_at timestamptz,
    updated_at timestamptz,
    FOREIGN KEY (repository_id) REFERENCES repositories(id)
);

CREATE TABLE incremental_update_histories (
    id bigserial PRIMARY KEY,
    repository_id bigint NOT NULL,
    base_commit varchar(100) NOT NULL,
    latest_commit varchar(100) NOT NULL,
    added_dirs bigint DEFAULT 0,
    updated_dirs bigint DEFAULT 0,
    created_at timestamptz
);

COMMENT ON TABLE documents IS 'Pages with their earlier versions; replaced_by names the next version, 0 the newest.';
COMMENT ON COLUMN tasks.doc_id IS 'The page that this task wrote, 0 while there is none.';

INSERT INTO repositories (name, url, local_path, description, clone_branch, clone_commit, size_mb, status, error_msg,
                          today_activity_count, created_at, updated_at)
SELECT name, 'https://git.example/' || name, '/data/repos/' || replace(name, '/', '_'), about, branch, md5(name),
       size, state, CASE state WHEN 'error' THEN 'clone failed: connection reset' ELSE '' END, number,
       now() - make_interval(days => 90 - number::integer),
       now() - make_interval(days => number::integer)
FROM (VALUES (1, 'harbor/tide-tables', '潮汐表计算库', 'main', 12.4, 'completed'),
             (2, 'harbor/berth-planner', 'Plans which ship lies where', 'main', 88.25, 'completed'),
             (3, 'lantern/mail-queue', 'A small mail queue', 'develop', 5.5, 'completed'),
             (4, 'lantern/web', '网站前端', 'master', 240.75, 'analyzing'),
             (5, 'orchard/sensor-net', 'Firmware and gateway', 'main', 31, 'completed'),
             (6, 'orchard/legacy', NULL, 'trunk', 0, 'error'))
     AS repository (number, name, about, branch, size, state)
ORDER BY number;

-- Twenty tasks each; each but the first waits for the one before it.
INSERT INTO tasks (repository_id, doc_id, writer_name, task_type, title, outline, status, run_after, error_msg,
                   sort_order,
                   started_at, completed_at, created_at, updated_at)
SELECT repository, 0,
       (ARRAY['DefaultWriter', 'DBModelWriter', 'APIWriter', 'UserRequestWriter', 'TocWriter'])[1 + place % 5],
       CASE WHEN place % 5 = 4 THEN 'TocWrite' ELSE 'DocWrite' END,
       topic || CASE WHEN place > 10 THEN ' (2)' ELSE '' END,
       CASE WHEN place % 3 = 0 THEN '1. Purpose' || E'\n' || '2. Parts' END,
       state,
       CASE WHEN place > 1 THEN number - 1 ELSE 0 END,
       CASE state WHEN 'failed' THEN 'model answered 529, gave up after 3 attempts' ELSE '' END,
       place, CASE WHEN state NOT IN ('pending', 'queued') THEN born + interval '1 minute' END,
       CASE WHEN state IN ('succeeded', 'failed', 'canceled') THEN born + make_interval(mins => 2 + place) END,
       born, born + make_interval(mins => 2 + place)
FROM (SELECT number, 1 + (number - 1) / 20 AS repository, 1 + (number - 1) % 20 AS place,
             now() - make_interval(days => 80 - (number / 2), mins => number * 7) AS born,
             (ARRAY['Overview', '快速开始', 'Architecture', '数据模型', 'API reference', 'Configuration', 'Testing', '部署指南',
                    'Error handling', 'Security notes'])[1 + (number - 1) % 10] AS topic,
             CASE WHEN number <= 104 THEN 'succeeded'
                  ELSE (ARRAY['failed', 'canceled', 'pending', 'queued',
                              'running'])[1 + (number - 105) % 5] END AS state
      FROM generate_series(1, 120) AS number) AS planned
ORDER BY number;

-- One page for each of the 104 tasks that succeeded, and 46 earlier versions of them.
INSERT INTO documents (repository_id, task_id, title, filename, content, sort_order, version, is_latest, replaced_by,
                       clone_branch, clone_commit_id, created_at, updated_at)
SELECT task.repository_id, task.id, task.title, format('%s-%s.md', task.repository_id, task.sort_order),
       format(E'# %s\n\n> %s, version %s\n\n', task.title, repository.name, version) || body.text, task.sort_order,
       version, version = versions, 0, repository.clone_branch, md5(repository.name || version),
       task.completed_at + make_interval(days => version), task.completed_at + make_interval(days => version)
FROM (SELECT *, 1 + (id % 5 IN (1, 3))::integer + (id % 26 = 3)::integer AS versions FROM tasks
      WHERE status = 'succeeded') AS task
JOIN repositories AS repository ON repository.id = task.repository_id
CROSS JOIN LATERAL generate_series(1, versions) AS version
CROSS JOIN LATERAL (
    SELECT string_agg(
        CASE part % 4
            WHEN 0 THEN format(E'## Part %s\n\nThe module reads its settings once at start and hands them on. ', part)
            WHEN 1 THEN format(E'该模块负责第 %s 步：读取输入，检查格式，然后写入队列。出错时整批回滚，不留下一半的数据。', part)
            WHEN 2 THEN format(E'```sql\nSELECT count(*) FROM readings WHERE batch = %s; -- about %s rows\n```', part,
                               part * task.id)
            ELSE 'Calls come in through the gateway, wait in one queue and are answered in order; a caller that hangs '
                 'up is taken out of the queue. Two "special" cases, a\b and 100 %, are escaped.'
        END, E'\n\n' ORDER BY part) AS text
    FROM generate_series(1, 14 + (task.id % 9 + version)::integer) AS part
) AS body
ORDER BY version, task.id;

UPDATE documents SET replaced_by = next.id
FROM documents AS next WHERE next.task_id = documents.task_id AND next.version = documents.version + 1;

UPDATE tasks SET doc_id = documents.id FROM documents WHERE documents.task_id = tasks.id AND documents.is_latest;

INSERT INTO task_usages (task_id, api_key_name, prompt_tokens, completion_tokens, total_tokens, cached_tokens,
                         reasoning_tokens, created_at)
SELECT tasks.id, CASE WHEN tasks.id % 3 = 0 THEN 'backup key' ELSE 'main key' END, prompt, answer, prompt + answer,
       prompt / 3, answer / 5, coalesce(tasks.completed_at, tasks.created_at) + make_interval(secs => call)
FROM tasks CROSS JOIN LATERAL generate_series(1, (1 + tasks.id % 3)::integer) AS call
CROSS JOIN LATERAL (SELECT 2000 + tasks.id * 37 % 9000 AS prompt, 300 + tasks.id * 53 * call % 3000 AS answer) AS spent
WHERE tasks.status IN ('succeeded', 'failed')
ORDER BY tasks.id, call;

INSERT INTO api_keys (name, provider, base_url, api_key, model, priority, status, request_count, error_count,
                      last_used_at,
                      created_at, updated_at, deleted_at)
VALUES ('main key', 'openai', 'https://api.openai.example/v1', 'sk-demo-main', 'gpt-5', 10, 'enabled', 1840, 12,
        now() - interval '2 hours', now() - interval '90 days', now() - interval '2 hours', NULL),
       ('backup key', 'deepseek', 'https://api.deepseek.example', 'sk-demo-backup', 'deepseek-chat', 5, 'enabled', 610,
        3,
        now() - interval '1 day', now() - interval '80 days', now() - interval '1 day', NULL),
       ('old key', 'openai', 'https://api.openai.example/v1', 'sk-demo-old', 'gpt-4o', 0, 'disabled', 99, 99, NULL,
        now() - interval '200 days', now() - interval '100 days', now() - interval '100 days');

INSERT INTO agent_versions (file_name, content, version, saved_at, source, restore_from_version, created_at)
SELECT file, format(E'name: %s\nversion: %s\nprompt: |\n  描述模块的职责。\n', file, version), version,
       now() - make_interval(days => 40 - version * 5), CASE WHEN version = 3 THEN 'restore' ELSE 'web' END,
       CASE WHEN version = 3 THEN 1 ELSE 0 END, now() - make_interval(days => 40 - version * 5)
FROM unnest(ARRAY['writer.yaml', 'toc.yaml']) AS file CROSS JOIN generate_series(1, 3) AS version
ORDER BY file, version;

INSERT INTO chat_sessions (session_id, repo_id, title, visibility, created_by, message_count, created_at, updated_at)
SELECT md5('chat ' || number), 1 + number % 5, 'Question ' || number, CASE WHEN number = 4 THEN 'public'
            ELSE 'private' END, 0, 4,
       now() - make_interval(days => number), now() - make_interval(days => number)
FROM generate_series(1, 5) AS number;

INSERT INTO chat_messages (session_id, message_id, parent_id, role, content, model, token_used, created_at,
                           completed_at)
SELECT session_id, md5(session_id || turn), CASE WHEN turn > 1 THEN md5(session_id || (turn - 1)) ELSE '' END,
       CASE WHEN turn % 2 = 1 THEN 'user' ELSE 'assistant' END,
       CASE WHEN turn % 2 = 1 THEN '这个模块在哪里启动？' ELSE 'In `main`, after the settings were read.' END,
       CASE WHEN turn % 2 = 0 THEN 'gpt-5' ELSE '' END, turn * 120, created_at + make_interval(secs => turn * 20),
       created_at + make_interval(secs => turn * 20 + 6)
FROM chat_sessions CROSS JOIN generate_series(1, 4) AS turn
ORDER BY chat_sessions.id, turn;

INSERT INTO document_ratings (document_id, score, created_at, updated_at)
SELECT id, 1 + id % 5, updated_at + interval '1 day', updated_at + interval '1 day' FROM documents WHERE is_latest
       AND id % 4 = 0 ORDER BY id;

INSERT INTO task_hints (repository_id, task_id, title, aspect, source, detail, created_at, updated_at)
SELECT repository_id, id, title, (ARRAY['entry point', 'data flow', '约定'])[1 + id % 3], 'src/main.go:' || id * 3,
       'See how errors are wrapped.', created_at, created_at
FROM tasks WHERE id % 3 = 1 ORDER BY id;

INSERT INTO sync_targets (url, created_at, updated_at)
VALUES ('https://wiki-two.example/api/sync', now() - interval '30 days', now() - interval '2 days'),
       ('http://10.20.0.8:8080/api/sync', now() - interval '12 days', now() - interval '12 days');

INSERT INTO sync_events (event_type, repository_id, doc_id, target_server, success, created_at)
SELECT CASE WHEN id % 4 = 0 THEN 'DocPulled' ELSE 'DocPushed' END, repository_id, id,
       CASE WHEN id % 2 = 0 THEN 'https://wiki-two.example/api/sync' ELSE 'http://10.20.0.8:8080/api/sync' END,
       id % 19 <> 0,
       now() - make_interval(days => (id % 30)::integer, mins => id::integer)
FROM documents WHERE repository_id <= 3
ORDER BY id % 30 DESC, id;

INSERT INTO user_requests (repository_id, content, status, created_at, updated_at)
SELECT 1 + number % 5, (ARRAY['请补充部署章节', 'Explain the retry rules', 'Document the queue''s limits'])[1 + number % 3],
       (ARRAY['pending', 'completed'])[1 + number % 2], now() - make_interval(days => number * 3),
       now() - make_interval(days => number)
FROM generate_series(1, 9) AS number;

INSERT INTO incremental_update_histories (repository_id, base_commit, latest_commit, added_dirs, updated_dirs,
                                          created_at)
SELECT repository, md5(format('%s/%s', repository, step)), md5(format('%s/%s', repository, step + 1)), step % 3, step,
       now() - make_interval(days => 20 - step * 3)
FROM generate_series(1, 3) AS repository CROSS JOIN generate_series(1, 4) AS step
ORDER BY repository, step;

CREATE UNIQUE INDEX idx_api_keys_name ON api_keys (name);
CREATE UNIQUE INDEX idx_chat_messages_message_id ON chat_messages (message_id);
CREATE UNIQUE INDEX idx_chat_sessions_session_id ON chat_sessions (session_id);
CREATE INDEX idx_document_ratings_document_id ON document_ratings (document_id);
CREATE INDEX idx_documents_is_latest ON documents (is_latest);
CREATE INDEX idx_documents_replaced_by ON documents (replaced_by);
CREATE INDEX idx_documents_repository_id ON documents (repository_id);
CREATE INDEX idx_documents_task_id ON documents (task_id);
CREATE INDEX idx_documents_version ON documents (version);
CREATE INDEX idx_incremental_update_histories_repository_id ON incremental_update_histories (repository_id);
CREATE INDEX idx_sync_events_doc_id ON sync_events (doc_id);
CREATE INDEX idx_sync_events_event_type ON sync_events (event_type);
CREATE INDEX idx_sync_events_repository_id ON sync_events (repository_id);
CREATE INDEX idx_sync_events_success ON sync_events (success);
CREATE UNIQUE INDEX idx_sync_targets_url ON sync_targets (url);
CREATE INDEX idx_task_hints_repository_id ON task_hints (repository_id);
CREATE INDEX idx_task_hints_task_id ON task_hints (task_id);
CREATE INDEX idx_task_usages_api_key_name ON task_usages (api_key_name);
CREATE INDEX idx_task_usages_task_id ON task_usages (task_id);
CREATE INDEX idx_tasks_doc_id ON tasks (doc_id);
CREATE INDEX idx_tasks_repository_id ON tasks (repository_id);
CREATE INDEX idx_user_requests_repository_id ON user_requests (repository_id);

-- Refers to a unique index, so it comes after them.
ALTER TABLE chat_messages ADD FOREIGN KEY (session_id) REFERENCES chat_sessions (session_id);
