-- The append-only log of changes. AUTOINCREMENT never gives a number twice, so
-- the order of seq is the order of commits. The unique key makes a redelivery
-- insert nothing; its prefix (account_id, id) finds all rows of one message.
CREATE TABLE messages (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT,
  id           TEXT    NOT NULL,
  kind         TEXT    NOT NULL CHECK (kind IN ('message', 'edit', 'unsend', 'erase', 'test')),
  version      INTEGER NOT NULL,
  account_id   TEXT    NOT NULL,
  sender_id    TEXT    NOT NULL,
  recipient_id TEXT    NOT NULL,
  direction    TEXT    NOT NULL CHECK (direction IN ('inbound', 'outbound')),
  message_text TEXT,
  attachments  TEXT,
  timestamp    INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  UNIQUE (account_id, id, kind, version)
);

-- Finds out whether an undecoded body quotes an unsent message: such a body
-- does not say which account it belongs to. It holds the few unsends only.
CREATE INDEX messages_tombstones ON messages (id) WHERE kind IN ('unsend', 'erase');

-- Tells a reader which messages have been edited, unsent or erased without a
-- look at the others.
CREATE INDEX messages_changes ON messages (account_id, id) WHERE kind <> 'message';

-- Signed deliveries, or parts of them, that could not be understood.
CREATE TABLE undecoded (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  received_at INTEGER NOT NULL,
  reason      TEXT    NOT NULL,
  body        BLOB    NOT NULL
);

CREATE TABLE meta (
  key   TEXT PRIMARY KEY NOT NULL,
  value TEXT NOT NULL
);

-- source_id tells this file from every other one. undecoded_loose is 1 while
-- pages of undecoded may hold copies of rows that have moved, see unsend.go.
INSERT INTO meta (key, value) VALUES
  ('source_id', lower(hex(randomblob(16)))),
  ('undecoded_loose', '0');
