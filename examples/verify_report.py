"""Check an erasure report offline, without curenu: Python and the package cryptography do.

python verify_report.py REPORT ROOT_KEY_ID [WEIGHTS or -] [TIME, such as 2026-11-27T08:00:00Z]
Ends with 0: all holds; 1: changed, or no report; 4: a key or its time; 5: the log; 6: the weights.
"""
import base64, functools, hashlib, json, pathlib, sys, time
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

def need(holds, code, sentence):
    if not holds:
        sys.exit(print(sentence) or code)

def key_of(keys, name, use):
    key = next((key for key in keys if (key["id"], key["use"]) == (name, use)), None)
    need(key, 4, f"The key {name[:16]} is not on the key list for this use: {use}.")
    need(not key["revoked"], 4, f"The key {name[:16]} was revoked.")
    need(key["not_before"] <= now < key["not_after"], 4, f"At {now} key {name[:16]} is not valid.")
    der = base64.b64decode("".join(key["public"].splitlines()[1:-1]))
    need(hashlib.sha256(der).hexdigest() == name, 4, f"The key {name[:16]} does not have its id.")
    return serialization.load_der_public_key(der)

def opened(envelope, kind, use, keys=None):  # what is in an envelope (DSSE) if all signatures hold
    content, sigs = json.loads(payload := base64.b64decode(envelope["payload"])), []
    text = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)
    for name, sig in ((s["keyid"], base64.b64decode(s["sig"])) for s in envelope["signatures"]):
        key_of(keys or content["keys"], name, use).verify(sig, text, ECDSA(hashes.SHA256()))
        sigs.append({"keyid": name, "sig": base64.b64encode(sig).decode()})
    whole = {"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": sigs}
    need(sigs and whole == envelope, 1, f"This is not {kind} as it was made.")
    return content

def root_of(leaf, index, size, proof):  # the root of the log's tree (RFC 6962), by a proof
    if size == 1:
        return b"" if proof else leaf
    left = index < (half := 1 << (size - 1).bit_length() - 1)
    below = root_of(leaf, index - half * (not left), half if left else size - half, proof[:-1])
    return hashlib.sha256(b"\1" + (below + proof[-1] if left else proof[-1] + below)).digest()

sys.excepthook = lambda kind, *_: print(f"Changed: {kind.__name__}." if sys.argv[2:] else __doc__)
now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
path, root, weights, now = (sys.argv + ["-", now][len(sys.argv) - 3:])[1:]
packed = functools.partial(json.dumps, sort_keys=True, separators=(",", ":"))
found = json.loads(data := pathlib.Path(path).read_bytes())
need(packed(found).encode() + b"\n" == data and len(found) == 2, 1, "The report was changed.")
need([one["keyid"] for one in found["keys"]["signatures"]] == [root], 4, "Not the root key's list.")
listed = opened(found["keys"], "application/vnd.curenu.keys+json", "root")
need(listed["issued"] <= now < listed["expires"], 4, f"The key list is not valid at {now}.")
said = opened(found["statement"], "application/vnd.in-toto+json", "statement", listed["keys"])
need(said["predicateType"] == "https://curenu.dev/attestations/erasure/v1", 1, "Another type.")
log, sha = said["predicate"].pop("log"), said["subject"][0]["digest"]["sha256"]
note, signed, proof = *log["checkpoint"].split("\n\n"), [*map(bytes.fromhex, log["proof"])]
leaf = hashlib.sha256(b"\0" + packed(said).encode()).digest()
top = base64.b64encode(root_of(leaf, log["index"], log["size"], proof)).decode()
need(note == f"{log['origin']}\n{log['size']}\n{top}", 5, "The statement is not in the log.")
head, signature = f"{note}\n".encode(), base64.b64decode(signed.split()[2])[4:]
key_of(listed["keys"], log["key"], "log").verify(signature, head)
file = pathlib.Path(path if weights == "-" else weights).read_bytes()
need(weights == "-" or hashlib.sha256(file).hexdigest() == sha, 6, "The weights are other ones.")
print(f"All holds at {now}: weights {sha}, {said['predicate']['outcome']}.")
