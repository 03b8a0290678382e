-- The tables of claude-code-hub that logs are made of, and a few rows, each of which would come out wrong if one column,
-- join or filter were wrong. Times are fixed; `tests/hub.py` says which row is there for what.

CREATE TABLE users (id serial PRIMARY KEY, name varchar NOT NULL, role varchar DEFAULT 'user', deleted_at timestamptz);

CREATE TABLE keys (
    id serial PRIMARY KEY, user_id integer NOT NULL, key varchar NOT NULL, name varchar NOT NULL,
    created_at timestamptz DEFAULT now(), deleted_at timestamptz
);

CREATE TABLE provider_vendors (
    id serial PRIMARY KEY, website_domain varchar(255) NOT NULL, display_name varchar(200), website_url text,
    favicon_url text, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
);

CREATE TABLE providers (
    id serial PRIMARY KEY, name varchar NOT NULL, url varchar NOT NULL, key varchar NOT NULL, deleted_at timestamptz,
    provider_vendor_id integer REFERENCES provider_vendors (id) ON DELETE RESTRICT
);

CREATE TABLE provider_endpoints (
    id serial PRIMARY KEY, vendor_id integer NOT NULL REFERENCES provider_vendors (id) ON DELETE CASCADE,
    provider_type varchar(20) NOT NULL DEFAULT 'claude', url text NOT NULL, label varchar(200),
    sort_order integer NOT NULL DEFAULT 0, is_enabled boolean NOT NULL DEFAULT true, last_probed_at timestamptz,
    last_probe_ok boolean, last_probe_status_code integer, last_probe_latency_ms integer,
    last_probe_error_type varchar(64), last_probe_error_message text, created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(), deleted_at timestamptz
);

CREATE TABLE provider_endpoint_probe_logs (
    id serial PRIMARY KEY, endpoint_id integer NOT NULL REFERENCES provider_endpoints (id) ON DELETE CASCADE,
    source varchar(20) NOT NULL DEFAULT 'scheduled', ok boolean NOT NULL, status_code integer, latency_ms integer,
    error_type varchar(64), error_message text, created_at timestamptz DEFAULT now()
);
CREATE INDEX ON provider_endpoint_probe_logs (created_at);
CREATE INDEX ON provider_endpoint_probe_logs (endpoint_id, created_at DESC NULLS LAST);

CREATE TABLE model_prices (
    id serial PRIMARY KEY, model_name varchar NOT NULL, price_data jsonb NOT NULL, created_at timestamptz DEFAULT now()
);

CREATE TABLE message_request (
    id serial PRIMARY KEY,
    provider_id integer NOT NULL,
    user_id integer NOT NULL,
    key varchar NOT NULL,
    model varchar(128),
    duration_ms integer,
    cost_usd numeric(21,15) DEFAULT 0,
    provider_chain jsonb,
    status_code integer,
    api_type varchar(20),
    input_tokens bigint,
    output_tokens bigint,
    cache_creation_input_tokens bigint,
    cache_read_input_tokens bigint,
    error_message text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    deleted_at timestamptz,
    session_id varchar(64),
    blocked_by varchar(50),
    blocked_reason text,
    cost_multiplier numeric(10,4),
    original_model varchar(128),
    user_agent varchar(512),
    messages_count integer,
    endpoint varchar(256),
    cache_creation_5m_input_tokens bigint,
    cache_creation_1h_input_tokens bigint,
    cache_ttl_applied varchar(10),
    request_sequence integer DEFAULT 1,
    context_1m_applied boolean DEFAULT false,
    error_stack text,
    error_cause text,
    ttfb_ms integer,
    special_settings jsonb
);
CREATE INDEX idx_message_request_created_at ON message_request (created_at);
CREATE INDEX idx_message_request_cursor ON message_request (created_at DESC, id DESC);
CREATE INDEX idx_message_request_user_query ON message_request (user_id, created_at) WHERE deleted_at IS NULL;
CREATE INDEX idx_message_request_key ON message_request (key);
CREATE INDEX idx_message_request_endpoint ON message_request (endpoint) WHERE deleted_at IS NULL;
CREATE INDEX idx_message_request_session_seq ON message_request (session_id, request_sequence) WHERE deleted_at IS NULL;

INSERT INTO users (id, name, role, deleted_at) VALUES
    (1, 'Ana', 'admin', NULL),
    (2, 'Lin, Wei', 'user', NULL),
    (3, 'left in spring', 'user', '2026-05-01 00:00+00'),
    (4, '=SUM(A1:A9)', 'user', NULL),
    (5, 'never asked', 'user', NULL);

-- sk-lin was deleted and given out again; sk-left was only deleted.
INSERT INTO keys (id, user_id, key, name, deleted_at) VALUES
    (1, 1, 'sk-ana', 'laptop', NULL),
    (2, 2, 'sk-lin', 'desk', NULL),
    (3, 2, 'sk-lin', 'desk (first)', '2026-09-01 00:00+00'),
    (4, 3, 'sk-left', 'old key', '2026-05-01 00:00+00'),
    (5, 4, 'sk-sum', 'sheet', NULL),
    (6, 1, 'sk-ana-ci', 'ci', NULL);

INSERT INTO provider_vendors (id, website_domain, display_name) VALUES
    (1, 'claude.example', 'Claude direct'), (2, 'relay.example', NULL);

INSERT INTO providers (id, name, url, key, deleted_at, provider_vendor_id) VALUES
    (1, 'anthropic-eu', 'https://claude.example', 'secret-1', NULL, 1),
    (2, 'relay', 'https://relay.example', 'secret-2', NULL, 2),
    (3, 'former', 'https://former.example', 'secret-3', '2026-06-01 00:00+00', NULL);

INSERT INTO provider_endpoints (id, vendor_id, url, label) VALUES
    (1, 1, 'https://claude.example/v1', 'main'), (2, 2, 'https://relay.example/v1', NULL);

INSERT INTO provider_endpoint_probe_logs (endpoint_id, ok, status_code, latency_ms, error_type, error_message, created_at)
VALUES (1, true, 200, 132, NULL, NULL, '2026-11-22 12:00:00+00'),
       (1, false, 503, 41, 'http', 'no upstream', '2026-11-22 12:01:00+00'),
       (1, false, NULL, NULL, 'timeout', E'first line\nsecond line', '2026-11-22 12:02:00+00'),
       (2, true, 200, 301, NULL, NULL, '2026-11-22 12:00:30+00');

INSERT INTO message_request
    (id, created_at, user_id, key, provider_id, model, original_model, endpoint, status_code, input_tokens,
     output_tokens, cache_creation_5m_input_tokens, cache_creation_1h_input_tokens, cache_creation_input_tokens,
     cache_read_input_tokens, cost_usd, duration_ms, session_id, request_sequence, provider_chain, blocked_by,
     deleted_at)
VALUES
    (1, '2026-11-20 10:00:00.123456+00', 1, 'sk-ana', 1, 'claude-sonnet-4-5', 'claude-opus-4-1', '/v1/messages', 200,
     11, 22, 33, 44, 77, 55, 0.123456789012345, 6200, 's-ana', 1,
     '[{"reason": "initial_selection"}, {"reason": "request_success"}]', NULL, NULL),
    (2, '2026-11-20 10:00:00.123456+00', 1, 'sk-ana', 2, 'claude-sonnet-4-5', 'claude-sonnet-4-5', '/v1/messages', 429,
     0, 0, 0, 0, 0, 0, 0, 300, 's-ana', 2,
     '[{"reason": "session_reuse"}, {"reason": "retry_failed"}, {"reason": "http2_fallback"},
       {"reason": "retry_failed"}, {"reason": "retry_failed"}]', NULL, NULL),
    (3, '2026-11-20 11:00:00+00', 2, 'sk-lin', 1, 'claude-haiku-4-5', NULL, '/v1/messages', 200,
     NULL, NULL, NULL, NULL, 500, NULL, 0.000000000000001, 1100, 's-lin', 1,
     '[{"reason": "retry_failed"}, {"reason": "retry_success"}]', NULL, NULL),
    (4, '2026-11-20 12:00:00+00', 1, 'sk-ana-ci', 0, 'claude-haiku-4-5', NULL, '/v1/messages', 403,
     NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 1, NULL, 'sensitive_word', NULL),
    (5, '2026-11-20 13:00:00+00', 2, 'sk-lin', 2, 'claude-haiku-4-5', NULL, '/v1/messages', NULL,
     7, 0, NULL, NULL, NULL, NULL, NULL, NULL, 's-lin', 2, '[]', NULL, NULL),
    (6, '2026-11-20 14:00:00+00', 1, 'sk-ana', 1, 'deleted-model', NULL, '/deleted', 200,
     1000000, 1000000, 0, 0, 0, 0, 1000, 1, 's-deleted', 1, NULL, NULL, '2026-11-21 00:00+00'),
    (7, NULL, 1, 'sk-ana', 1, 'gpt-5', NULL, '/v1/responses', 200,
     1, 1, 0, 0, 0, 0, 1, 1, 's-timeless', 1, NULL, NULL, NULL),
    (8, NULL, 2, 'sk-lin', 1, 'gpt-5', NULL, '/v1/responses', 500,
     1, 1, 0, 0, 0, 0, 1, 1, 's-timeless', 2, 'null', NULL, NULL),
    (9, '2026-11-21 09:00:00+00', 1, 'sk-ana-ci', 1, 'gpt-5', NULL, '/v1/responses', 200,
     5, 5, 0, 0, 0, 0, 0.5, 900, 's-race', 1,
     '[{"reason": "initial_selection"}, {"reason": "hedge_triggered"}, {"reason": "hedge_winner"},
       {"reason": "retry_failed"}]', NULL, NULL),
    (10, '2026-11-21 10:00:00+00', 3, 'sk-left', 3, 'claude-haiku-4-5', NULL, '/v1/messages', 200,
     3, 4, 0, 0, 0, 0, 0.25, 800, 's-left', 1, '[{"reason": "request_success"}]', NULL, NULL),
    (11, '2026-11-21 11:00:00+00', 99, 'sk-of-nobody', 98, 'claude-haiku-4-5', NULL, '/v1/messages', 200,
     3, 4, 0, 0, 0, 0, 0.25, 800, 's-nobody', 1, NULL, NULL, NULL),
    (12, '2026-11-21 12:00:00+00', 4, 'sk-sum', 2, ' =1+1', '-12.50', '@cmd', 200,
     2, 3, 0, 0, 0, 0, 123456.123456789012345, 2147483647, E'+"a",\r\nb', 1, '{"reason": "retry_failed"}', NULL, NULL),
    (13, '2026-11-21 23:59:59.999999+00', 2, 'sk-lin', 1, 'claude-opus-4-1', NULL, '/v1/messages', 529,
     1, 2, 10, 20, 25, 4, 0.1, 1, 's-lin', 3,
     '[{"reason": "retry_failed"}, {"reason": "retry_failed"}, {"reason": "retry_failed"},
       {"reason": "retry_success"}]', NULL, NULL),
    (14, '2026-11-22 00:00:00+00', 2, 'sk-lin', 1, 'claude-opus-4-1', NULL, '/v1/messages', 200,
     1, 2, 0, 0, 0, 4, 0.2, 1, 's-lin', 4, NULL, NULL, NULL);

SELECT setval(pg_get_serial_sequence(name, 'id'), 1000)
FROM unnest(ARRAY['users', 'keys', 'providers', 'provider_vendors', 'provider_endpoints', 'message_request']) AS name;
