-- The job of a ledger: events, and the tasks that follow from them. A key is kept once, a task is
-- spawned once below a parent that is there, and a running task ends once. One call is one round trip
-- and, if nothing else is in the transaction, one transaction. An error ends it and nothing was
-- recorded; a client that sends a key again finds its receipt in `events`.
--
-- The parent is looked for here: a foreign key would lock its row for each child.

CREATE TABLE events (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key uuid NOT NULL UNIQUE,
    task text NOT NULL,
    body bytea NOT NULL
);

CREATE TABLE tasks (
    id text PRIMARY KEY,
    thread text NOT NULL,
    parent text,
    running boolean NOT NULL,
    last bigint NOT NULL
) WITH (fillfactor = 70); -- so that an end needs no new entry in the index

CREATE FUNCTION spawn(of_key uuid, id text, thread text, parent_id text, body bytea) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE number bigint;
BEGIN
    IF parent_id IS NOT NULL AND NOT EXISTS (SELECT FROM tasks t WHERE t.id = parent_id) THEN
        RAISE 'there is no task %', parent_id;
    END IF;
    INSERT INTO events (key, task, body) VALUES (of_key, id, body) RETURNING seq INTO number;
    INSERT INTO tasks VALUES (id, thread, parent_id, true, number);
    RETURN number;
END $$;

-- The same of many, in as few statements.
CREATE FUNCTION spawn_all(keys uuid[], ids text[], threads text[], parents text[], bodies bytea[])
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE missing text;
BEGIN
    WITH given AS (
        SELECT * FROM unnest(keys, ids, threads, parents, bodies) AS g(key, id, thread, parent, body)
    ), written AS (
        INSERT INTO events (key, task, body) SELECT g.key, g.id, g.body FROM given g
        RETURNING seq, task
    )
    INSERT INTO tasks
        SELECT g.id, g.thread, g.parent, true, w.seq FROM written w JOIN given g ON g.id = w.task;
    SELECT p.id INTO missing FROM unnest(parents) AS p(id)
        WHERE p.id IS NOT NULL AND NOT EXISTS (SELECT FROM tasks t WHERE t.id = p.id) LIMIT 1;
    IF FOUND THEN
        RAISE 'there is no task %', missing;
    END IF;
    RETURN cardinality(ids);
END $$;

CREATE FUNCTION finish_all(keys uuid[], ids text[], bodies bytea[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE ended bigint;
BEGIN
    WITH written AS (
        INSERT INTO events (key, task, body)
            SELECT g.key, g.id, g.body FROM unnest(keys, ids, bodies) AS g(key, id, body)
        RETURNING seq, task
    )
    UPDATE tasks t SET running = false, last = w.seq FROM written w WHERE t.id = w.task AND t.running;
    GET DIAGNOSTICS ended = ROW_COUNT;
    IF ended <> cardinality(ids) THEN
        RAISE 'a task is not there, or does not run';
    END IF;
    RETURN ended;
END $$;
