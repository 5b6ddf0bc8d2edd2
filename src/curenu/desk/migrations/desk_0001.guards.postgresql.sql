CREATE FUNCTION request_begins_guard() RETURNS trigger AS $$ BEGIN IF NEW.status <> 'received' THEN RAISE EXCEPTION 'desk: a request begins as received' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER request_begins BEFORE INSERT ON request FOR EACH ROW EXECUTE FUNCTION request_begins_guard();

CREATE FUNCTION request_moves_guard() RETURNS trigger AS $$ BEGIN IF OLD.status <> NEW.status AND NOT ((OLD.status = 'received' AND NEW.status = 'unverified') OR (OLD.status = 'received' AND NEW.status = 'pending') OR (OLD.status = 'received' AND NEW.status = 'duplicate') OR (OLD.status = 'received' AND NEW.status = 'denied') OR (OLD.status = 'received' AND NEW.status = 'cancelled') OR (OLD.status = 'unverified' AND NEW.status = 'pending') OR (OLD.status = 'unverified' AND NEW.status = 'denied') OR (OLD.status = 'unverified' AND NEW.status = 'cancelled') OR (OLD.status = 'pending' AND NEW.status = 'approved') OR (OLD.status = 'pending' AND NEW.status = 'denied') OR (OLD.status = 'pending' AND NEW.status = 'cancelled') OR (OLD.status = 'pending' AND NEW.status = 'on_hold') OR (OLD.status = 'pending' AND NEW.status = 'duplicate') OR (OLD.status = 'approved' AND NEW.status = 'batched') OR (OLD.status = 'approved' AND NEW.status = 'denied') OR (OLD.status = 'approved' AND NEW.status = 'cancelled') OR (OLD.status = 'approved' AND NEW.status = 'on_hold') OR (OLD.status = 'batched' AND NEW.status = 'running') OR (OLD.status = 'batched' AND NEW.status = 'on_hold') OR (OLD.status = 'running' AND NEW.status = 'measured') OR (OLD.status = 'running' AND NEW.status = 'complete') OR (OLD.status = 'running' AND NEW.status = 'denied') OR (OLD.status = 'running' AND NEW.status = 'partial') OR (OLD.status = 'running' AND NEW.status = 'batched') OR (OLD.status = 'running' AND NEW.status = 'on_hold') OR (OLD.status = 'running' AND NEW.status = 'error') OR (OLD.status = 'measured' AND NEW.status = 'released') OR (OLD.status = 'measured' AND NEW.status = 'batched') OR (OLD.status = 'measured' AND NEW.status = 'on_hold') OR (OLD.status = 'measured' AND NEW.status = 'error') OR (OLD.status = 'released' AND NEW.status = 'complete') OR (OLD.status = 'released' AND NEW.status = 'partial') OR (OLD.status = 'on_hold' AND NEW.status = 'pending') OR (OLD.status = 'on_hold' AND NEW.status = 'approved') OR (OLD.status = 'on_hold' AND NEW.status = 'batched') OR (OLD.status = 'on_hold' AND NEW.status = 'running') OR (OLD.status = 'on_hold' AND NEW.status = 'measured') OR (OLD.status = 'on_hold' AND NEW.status = 'denied') OR (OLD.status = 'error' AND NEW.status = 'batched') OR (OLD.status = 'error' AND NEW.status = 'denied') OR (OLD.status = 'partial' AND NEW.status = 'batched') OR (OLD.status = 'partial' AND NEW.status = 'complete')) THEN RAISE EXCEPTION 'desk: the request cannot move so' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER request_moves BEFORE UPDATE ON request FOR EACH ROW EXECUTE FUNCTION request_moves_guard();

CREATE FUNCTION batch_begins_guard() RETURNS trigger AS $$ BEGIN IF NEW.status <> 'open' THEN RAISE EXCEPTION 'desk: a batch begins as open' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER batch_begins BEFORE INSERT ON batch FOR EACH ROW EXECUTE FUNCTION batch_begins_guard();

CREATE FUNCTION batch_moves_guard() RETURNS trigger AS $$ BEGIN IF OLD.status <> NEW.status AND NOT ((OLD.status = 'open' AND NEW.status = 'sealed') OR (OLD.status = 'sealed' AND NEW.status = 'queued') OR (OLD.status = 'queued' AND NEW.status = 'running') OR (OLD.status = 'queued' AND NEW.status = 'sealed') OR (OLD.status = 'running' AND NEW.status = 'measured') OR (OLD.status = 'running' AND NEW.status = 'queued') OR (OLD.status = 'running' AND NEW.status = 'rejected') OR (OLD.status = 'running' AND NEW.status = 'error') OR (OLD.status = 'measured' AND NEW.status = 'awaiting_release') OR (OLD.status = 'measured' AND NEW.status = 'rejected') OR (OLD.status = 'awaiting_release' AND NEW.status = 'released') OR (OLD.status = 'awaiting_release' AND NEW.status = 'rejected') OR (OLD.status = 'rejected' AND NEW.status = 'queued') OR (OLD.status = 'error' AND NEW.status = 'queued')) THEN RAISE EXCEPTION 'desk: the batch cannot move so' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER batch_moves BEFORE UPDATE ON batch FOR EACH ROW EXECUTE FUNCTION batch_moves_guard();

CREATE FUNCTION request_target_begins_guard() RETURNS trigger AS $$ BEGIN IF NEW.state <> 'waiting' THEN RAISE EXCEPTION 'desk: a request_target begins as waiting' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER request_target_begins BEFORE INSERT ON request_target FOR EACH ROW EXECUTE FUNCTION request_target_begins_guard();

CREATE FUNCTION request_target_moves_guard() RETURNS trigger AS $$ BEGIN IF OLD.state <> NEW.state AND NOT ((OLD.state = 'waiting' AND NEW.state = 'batched') OR (OLD.state = 'waiting' AND NEW.state = 'retained') OR (OLD.state = 'batched' AND NEW.state = 'erased') OR (OLD.state = 'batched' AND NEW.state = 'not_in_model') OR (OLD.state = 'batched' AND NEW.state = 'failed') OR (OLD.state = 'batched' AND NEW.state = 'waiting') OR (OLD.state = 'batched' AND NEW.state = 'retained') OR (OLD.state = 'failed' AND NEW.state = 'batched')) THEN RAISE EXCEPTION 'desk: the request_target cannot move so' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER request_target_moves BEFORE UPDATE ON request_target FOR EACH ROW EXECUTE FUNCTION request_target_moves_guard();

CREATE FUNCTION request_approved_guard() RETURNS trigger AS $$ BEGIN IF NEW.status = 'approved' AND OLD.status IN ('pending', 'on_hold') AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.request = NEW.id AND d.kind = 'approve' AND d."by" <> NEW.submitter) THEN RAISE EXCEPTION 'desk: who submitted a request cannot approve it' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER request_approved BEFORE UPDATE ON request FOR EACH ROW EXECUTE FUNCTION request_approved_guard();

CREATE FUNCTION request_held_guard() RETURNS trigger AS $$ BEGIN IF OLD.status = 'on_hold' AND NEW.status NOT IN ('on_hold', 'denied') AND EXISTS (SELECT 1 FROM hold h WHERE h.request = NEW.id AND h.lifted IS NULL) THEN RAISE EXCEPTION 'desk: a legal hold stands in the way' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER request_held BEFORE UPDATE ON request FOR EACH ROW EXECUTE FUNCTION request_held_guard();

CREATE FUNCTION request_keeps_guard() RETURNS trigger AS $$ BEGIN IF OLD.id <> NEW.id OR OLD.submitter <> NEW.submitter OR OLD.commitment <> NEW.commitment OR OLD.received <> NEW.received THEN RAISE EXCEPTION 'desk: what was submitted does not change' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER request_keeps BEFORE UPDATE ON request FOR EACH ROW EXECUTE FUNCTION request_keeps_guard();

CREATE FUNCTION request_complete_guard() RETURNS trigger AS $$ BEGIN IF NEW.status IN ('released', 'complete') AND OLD.status <> NEW.status AND NOT (NOT EXISTS (SELECT 1 FROM batch_request b JOIN batch a ON a.id = b.batch WHERE b.request = NEW.id AND b.outcome IS NULL AND a.status <> 'released') AND EXISTS (SELECT 1 FROM batch_request b WHERE b.request = NEW.id)) THEN RAISE EXCEPTION 'desk: its batch is not released' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER request_complete BEFORE UPDATE ON request FOR EACH ROW EXECUTE FUNCTION request_complete_guard();

CREATE FUNCTION batch_passed_guard() RETURNS trigger AS $$ BEGIN IF NEW.status = 'awaiting_release' AND OLD.status <> NEW.status AND NOT (EXISTS (SELECT 1 FROM model_version v WHERE v.batch = NEW.id) AND (NEW.way = 'retrain' OR 4 = (SELECT COUNT(*) FROM evaluation e WHERE e.batch = NEW.id AND e.attempt = NEW.attempt AND e.passed = 1))) THEN RAISE EXCEPTION 'desk: the bar was not passed' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER batch_passed BEFORE UPDATE ON batch FOR EACH ROW EXECUTE FUNCTION batch_passed_guard();

CREATE FUNCTION batch_free_guard() RETURNS trigger AS $$ BEGIN IF NEW.status IN ('running', 'released') AND OLD.status <> NEW.status AND EXISTS (SELECT 1 FROM hold h JOIN batch_request b ON b.request = h.request WHERE b.batch = NEW.id AND h.lifted IS NULL) THEN RAISE EXCEPTION 'desk: a legal hold stands in the way' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER batch_free BEFORE UPDATE ON batch FOR EACH ROW EXECUTE FUNCTION batch_free_guard();

CREATE FUNCTION decision_eyes_guard() RETURNS trigger AS $$ BEGIN IF NEW.kind = 'approve' AND EXISTS (SELECT 1 FROM request r WHERE r.id = NEW.request AND r.submitter = NEW."by") THEN RAISE EXCEPTION 'desk: who submitted a request cannot approve it' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER decision_eyes BEFORE INSERT ON decision FOR EACH ROW EXECUTE FUNCTION decision_eyes_guard();

CREATE FUNCTION artifact_stays_tainted_guard() RETURNS trigger AS $$ BEGIN IF OLD.marking = 'contains_erased' AND NEW.marking <> OLD.marking THEN RAISE EXCEPTION 'desk: what saw erased examples is not clean again' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER artifact_stays_tainted BEFORE UPDATE ON artifact FOR EACH ROW EXECUTE FUNCTION artifact_stays_tainted_guard();

CREATE FUNCTION artifact_stays_disposed_guard() RETURNS trigger AS $$ BEGIN IF OLD.disposed IS NOT NULL AND (NEW.disposed IS NULL OR NEW.evidence <> OLD.evidence) THEN RAISE EXCEPTION 'desk: a disposal stays on record' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER artifact_stays_disposed BEFORE UPDATE ON artifact FOR EACH ROW EXECUTE FUNCTION artifact_stays_disposed_guard();

CREATE FUNCTION log_stays_update_guard() RETURNS trigger AS $$ BEGIN IF 1 = 1 THEN RAISE EXCEPTION 'desk: rows of log stay' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER log_stays_update BEFORE UPDATE ON log FOR EACH ROW EXECUTE FUNCTION log_stays_update_guard();

CREATE FUNCTION log_stays_delete_guard() RETURNS trigger AS $$ BEGIN IF 1 = 1 THEN RAISE EXCEPTION 'desk: rows of log stay' USING ERRCODE = '23514'; END IF; RETURN OLD; END $$ LANGUAGE plpgsql;

CREATE TRIGGER log_stays_delete BEFORE DELETE ON log FOR EACH ROW EXECUTE FUNCTION log_stays_delete_guard();

CREATE FUNCTION checkpoint_stays_update_guard() RETURNS trigger AS $$ BEGIN IF 1 = 1 THEN RAISE EXCEPTION 'desk: rows of checkpoint stay' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER checkpoint_stays_update BEFORE UPDATE ON checkpoint FOR EACH ROW EXECUTE FUNCTION checkpoint_stays_update_guard();

CREATE FUNCTION checkpoint_stays_delete_guard() RETURNS trigger AS $$ BEGIN IF 1 = 1 THEN RAISE EXCEPTION 'desk: rows of checkpoint stay' USING ERRCODE = '23514'; END IF; RETURN OLD; END $$ LANGUAGE plpgsql;

CREATE TRIGGER checkpoint_stays_delete BEFORE DELETE ON checkpoint FOR EACH ROW EXECUTE FUNCTION checkpoint_stays_delete_guard();

CREATE FUNCTION attestation_stays_update_guard() RETURNS trigger AS $$ BEGIN IF 1 = 1 THEN RAISE EXCEPTION 'desk: rows of attestation stay' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER attestation_stays_update BEFORE UPDATE ON attestation FOR EACH ROW EXECUTE FUNCTION attestation_stays_update_guard();

CREATE FUNCTION attestation_stays_delete_guard() RETURNS trigger AS $$ BEGIN IF 1 = 1 THEN RAISE EXCEPTION 'desk: rows of attestation stay' USING ERRCODE = '23514'; END IF; RETURN OLD; END $$ LANGUAGE plpgsql;

CREATE TRIGGER attestation_stays_delete BEFORE DELETE ON attestation FOR EACH ROW EXECUTE FUNCTION attestation_stays_delete_guard();

CREATE FUNCTION decision_stays_update_guard() RETURNS trigger AS $$ BEGIN IF 1 = 1 THEN RAISE EXCEPTION 'desk: rows of decision stay' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER decision_stays_update BEFORE UPDATE ON decision FOR EACH ROW EXECUTE FUNCTION decision_stays_update_guard();

CREATE FUNCTION decision_stays_delete_guard() RETURNS trigger AS $$ BEGIN IF 1 = 1 THEN RAISE EXCEPTION 'desk: rows of decision stay' USING ERRCODE = '23514'; END IF; RETURN OLD; END $$ LANGUAGE plpgsql;

CREATE TRIGGER decision_stays_delete BEFORE DELETE ON decision FOR EACH ROW EXECUTE FUNCTION decision_stays_delete_guard();

CREATE FUNCTION evaluation_stays_update_guard() RETURNS trigger AS $$ BEGIN IF 1 = 1 THEN RAISE EXCEPTION 'desk: rows of evaluation stay' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql;

CREATE TRIGGER evaluation_stays_update BEFORE UPDATE ON evaluation FOR EACH ROW EXECUTE FUNCTION evaluation_stays_update_guard();

CREATE FUNCTION evaluation_stays_delete_guard() RETURNS trigger AS $$ BEGIN IF 1 = 1 THEN RAISE EXCEPTION 'desk: rows of evaluation stay' USING ERRCODE = '23514'; END IF; RETURN OLD; END $$ LANGUAGE plpgsql;

CREATE TRIGGER evaluation_stays_delete BEFORE DELETE ON evaluation FOR EACH ROW EXECUTE FUNCTION evaluation_stays_delete_guard();

CREATE FUNCTION request_stays_delete_guard() RETURNS trigger AS $$ BEGIN IF 1 = 1 THEN RAISE EXCEPTION 'desk: rows of request stay' USING ERRCODE = '23514'; END IF; RETURN OLD; END $$ LANGUAGE plpgsql;

CREATE TRIGGER request_stays_delete BEFORE DELETE ON request FOR EACH ROW EXECUTE FUNCTION request_stays_delete_guard();

CREATE FUNCTION batch_stays_delete_guard() RETURNS trigger AS $$ BEGIN IF 1 = 1 THEN RAISE EXCEPTION 'desk: rows of batch stay' USING ERRCODE = '23514'; END IF; RETURN OLD; END $$ LANGUAGE plpgsql;

CREATE TRIGGER batch_stays_delete BEFORE DELETE ON batch FOR EACH ROW EXECUTE FUNCTION batch_stays_delete_guard();
