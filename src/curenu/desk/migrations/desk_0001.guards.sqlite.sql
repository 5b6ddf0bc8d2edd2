CREATE TRIGGER request_begins BEFORE INSERT ON request WHEN NEW.status <> 'received' BEGIN SELECT RAISE(ABORT, 'desk: a request begins as received'); END;

CREATE TRIGGER request_moves BEFORE UPDATE ON request WHEN OLD.status <> NEW.status AND NOT ((OLD.status = 'received' AND NEW.status = 'unverified') OR (OLD.status = 'received' AND NEW.status = 'pending') OR (OLD.status = 'received' AND NEW.status = 'duplicate') OR (OLD.status = 'received' AND NEW.status = 'denied') OR (OLD.status = 'received' AND NEW.status = 'cancelled') OR (OLD.status = 'unverified' AND NEW.status = 'pending') OR (OLD.status = 'unverified' AND NEW.status = 'denied') OR (OLD.status = 'unverified' AND NEW.status = 'cancelled') OR (OLD.status = 'pending' AND NEW.status = 'approved') OR (OLD.status = 'pending' AND NEW.status = 'denied') OR (OLD.status = 'pending' AND NEW.status = 'cancelled') OR (OLD.status = 'pending' AND NEW.status = 'on_hold') OR (OLD.status = 'pending' AND NEW.status = 'duplicate') OR (OLD.status = 'approved' AND NEW.status = 'batched') OR (OLD.status = 'approved' AND NEW.status = 'denied') OR (OLD.status = 'approved' AND NEW.status = 'cancelled') OR (OLD.status = 'approved' AND NEW.status = 'on_hold') OR (OLD.status = 'batched' AND NEW.status = 'running') OR (OLD.status = 'batched' AND NEW.status = 'on_hold') OR (OLD.status = 'running' AND NEW.status = 'measured') OR (OLD.status = 'running' AND NEW.status = 'complete') OR (OLD.status = 'running' AND NEW.status = 'denied') OR (OLD.status = 'running' AND NEW.status = 'partial') OR (OLD.status = 'running' AND NEW.status = 'batched') OR (OLD.status = 'running' AND NEW.status = 'on_hold') OR (OLD.status = 'running' AND NEW.status = 'error') OR (OLD.status = 'measured' AND NEW.status = 'released') OR (OLD.status = 'measured' AND NEW.status = 'batched') OR (OLD.status = 'measured' AND NEW.status = 'on_hold') OR (OLD.status = 'measured' AND NEW.status = 'error') OR (OLD.status = 'released' AND NEW.status = 'complete') OR (OLD.status = 'released' AND NEW.status = 'partial') OR (OLD.status = 'on_hold' AND NEW.status = 'pending') OR (OLD.status = 'on_hold' AND NEW.status = 'approved') OR (OLD.status = 'on_hold' AND NEW.status = 'batched') OR (OLD.status = 'on_hold' AND NEW.status = 'running') OR (OLD.status = 'on_hold' AND NEW.status = 'measured') OR (OLD.status = 'on_hold' AND NEW.status = 'denied') OR (OLD.status = 'error' AND NEW.status = 'batched') OR (OLD.status = 'error' AND NEW.status = 'denied') OR (OLD.status = 'partial' AND NEW.status = 'batched') OR (OLD.status = 'partial' AND NEW.status = 'complete')) BEGIN SELECT RAISE(ABORT, 'desk: the request cannot move so'); END;

CREATE TRIGGER batch_begins BEFORE INSERT ON batch WHEN NEW.status <> 'open' BEGIN SELECT RAISE(ABORT, 'desk: a batch begins as open'); END;

CREATE TRIGGER batch_moves BEFORE UPDATE ON batch WHEN OLD.status <> NEW.status AND NOT ((OLD.status = 'open' AND NEW.status = 'sealed') OR (OLD.status = 'sealed' AND NEW.status = 'queued') OR (OLD.status = 'queued' AND NEW.status = 'running') OR (OLD.status = 'queued' AND NEW.status = 'sealed') OR (OLD.status = 'running' AND NEW.status = 'measured') OR (OLD.status = 'running' AND NEW.status = 'queued') OR (OLD.status = 'running' AND NEW.status = 'rejected') OR (OLD.status = 'running' AND NEW.status = 'error') OR (OLD.status = 'measured' AND NEW.status = 'awaiting_release') OR (OLD.status = 'measured' AND NEW.status = 'rejected') OR (OLD.status = 'awaiting_release' AND NEW.status = 'released') OR (OLD.status = 'awaiting_release' AND NEW.status = 'rejected') OR (OLD.status = 'rejected' AND NEW.status = 'queued') OR (OLD.status = 'error' AND NEW.status = 'queued')) BEGIN SELECT RAISE(ABORT, 'desk: the batch cannot move so'); END;

CREATE TRIGGER request_target_begins BEFORE INSERT ON request_target WHEN NEW.state <> 'waiting' BEGIN SELECT RAISE(ABORT, 'desk: a request_target begins as waiting'); END;

CREATE TRIGGER request_target_moves BEFORE UPDATE ON request_target WHEN OLD.state <> NEW.state AND NOT ((OLD.state = 'waiting' AND NEW.state = 'batched') OR (OLD.state = 'waiting' AND NEW.state = 'retained') OR (OLD.state = 'batched' AND NEW.state = 'erased') OR (OLD.state = 'batched' AND NEW.state = 'not_in_model') OR (OLD.state = 'batched' AND NEW.state = 'failed') OR (OLD.state = 'batched' AND NEW.state = 'waiting') OR (OLD.state = 'batched' AND NEW.state = 'retained') OR (OLD.state = 'failed' AND NEW.state = 'batched')) BEGIN SELECT RAISE(ABORT, 'desk: the request_target cannot move so'); END;

CREATE TRIGGER request_approved BEFORE UPDATE ON request WHEN NEW.status = 'approved' AND OLD.status IN ('pending', 'on_hold') AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.request = NEW.id AND d.kind = 'approve' AND d."by" <> NEW.submitter) BEGIN SELECT RAISE(ABORT, 'desk: who submitted a request cannot approve it'); END;

CREATE TRIGGER request_held BEFORE UPDATE ON request WHEN OLD.status = 'on_hold' AND NEW.status NOT IN ('on_hold', 'denied') AND EXISTS (SELECT 1 FROM hold h WHERE h.request = NEW.id AND h.lifted IS NULL) BEGIN SELECT RAISE(ABORT, 'desk: a legal hold stands in the way'); END;

CREATE TRIGGER request_keeps BEFORE UPDATE ON request WHEN OLD.id <> NEW.id OR OLD.submitter <> NEW.submitter OR OLD.commitment <> NEW.commitment OR OLD.received <> NEW.received BEGIN SELECT RAISE(ABORT, 'desk: what was submitted does not change'); END;

CREATE TRIGGER request_complete BEFORE UPDATE ON request WHEN NEW.status IN ('released', 'complete') AND OLD.status <> NEW.status AND NOT (NOT EXISTS (SELECT 1 FROM batch_request b JOIN batch a ON a.id = b.batch WHERE b.request = NEW.id AND b.outcome IS NULL AND a.status <> 'released') AND EXISTS (SELECT 1 FROM batch_request b WHERE b.request = NEW.id)) BEGIN SELECT RAISE(ABORT, 'desk: its batch is not released'); END;

CREATE TRIGGER batch_passed BEFORE UPDATE ON batch WHEN NEW.status = 'awaiting_release' AND OLD.status <> NEW.status AND NOT (EXISTS (SELECT 1 FROM model_version v WHERE v.batch = NEW.id) AND (NEW.way = 'retrain' OR 4 = (SELECT COUNT(*) FROM evaluation e WHERE e.batch = NEW.id AND e.attempt = NEW.attempt AND e.passed = 1))) BEGIN SELECT RAISE(ABORT, 'desk: the bar was not passed'); END;

CREATE TRIGGER batch_free BEFORE UPDATE ON batch WHEN NEW.status IN ('running', 'released') AND OLD.status <> NEW.status AND EXISTS (SELECT 1 FROM hold h JOIN batch_request b ON b.request = h.request WHERE b.batch = NEW.id AND h.lifted IS NULL) BEGIN SELECT RAISE(ABORT, 'desk: a legal hold stands in the way'); END;

CREATE TRIGGER decision_eyes BEFORE INSERT ON decision WHEN NEW.kind = 'approve' AND EXISTS (SELECT 1 FROM request r WHERE r.id = NEW.request AND r.submitter = NEW."by") BEGIN SELECT RAISE(ABORT, 'desk: who submitted a request cannot approve it'); END;

CREATE TRIGGER artifact_stays_tainted BEFORE UPDATE ON artifact WHEN OLD.marking = 'contains_erased' AND NEW.marking <> OLD.marking BEGIN SELECT RAISE(ABORT, 'desk: what saw erased examples is not clean again'); END;

CREATE TRIGGER artifact_stays_disposed BEFORE UPDATE ON artifact WHEN OLD.disposed IS NOT NULL AND (NEW.disposed IS NULL OR NEW.evidence <> OLD.evidence) BEGIN SELECT RAISE(ABORT, 'desk: a disposal stays on record'); END;

CREATE TRIGGER log_stays_update BEFORE UPDATE ON log WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'desk: rows of log stay'); END;

CREATE TRIGGER log_stays_delete BEFORE DELETE ON log WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'desk: rows of log stay'); END;

CREATE TRIGGER checkpoint_stays_update BEFORE UPDATE ON checkpoint WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'desk: rows of checkpoint stay'); END;

CREATE TRIGGER checkpoint_stays_delete BEFORE DELETE ON checkpoint WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'desk: rows of checkpoint stay'); END;

CREATE TRIGGER attestation_stays_update BEFORE UPDATE ON attestation WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'desk: rows of attestation stay'); END;

CREATE TRIGGER attestation_stays_delete BEFORE DELETE ON attestation WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'desk: rows of attestation stay'); END;

CREATE TRIGGER decision_stays_update BEFORE UPDATE ON decision WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'desk: rows of decision stay'); END;

CREATE TRIGGER decision_stays_delete BEFORE DELETE ON decision WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'desk: rows of decision stay'); END;

CREATE TRIGGER evaluation_stays_update BEFORE UPDATE ON evaluation WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'desk: rows of evaluation stay'); END;

CREATE TRIGGER evaluation_stays_delete BEFORE DELETE ON evaluation WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'desk: rows of evaluation stay'); END;

CREATE TRIGGER request_stays_delete BEFORE DELETE ON request WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'desk: rows of request stay'); END;

CREATE TRIGGER batch_stays_delete BEFORE DELETE ON batch WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'desk: rows of batch stay'); END;
