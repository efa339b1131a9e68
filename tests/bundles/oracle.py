"""Other people's reading of an envelope: securesystemslib's of the signatures, rfc8785's of the form.

Arguments: the envelope, and for each signature KEYID=HEX of its public key.
"""

import base64
import copy
import json
import sys

import rfc8785
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

with open(sys.argv[1], encoding="utf-8") as file:
    data = json.load(file)
pairs = [argument.split("=") for argument in sys.argv[2:]]
keys = [SSlibKey(name, "ed25519", "ed25519", {"public": public}) for name, public in pairs]

accepted = Envelope.from_dict(copy.deepcopy(data)).verify(keys, threshold=len(keys))
assert len(accepted) == len(keys) == len(data["signatures"]), "each key is accepted"

payload = base64.b64decode(data["payload"], validate=True)
assert rfc8785.dumps(json.loads(payload)) == payload, "the payload is canonical"

changed = copy.deepcopy(data)
changed["payload"] = base64.b64encode(payload.replace(b'"epoch":1', b'"epoch":2')).decode()
assert changed["payload"] != data["payload"], "something was changed"
try:
    Envelope.from_dict(changed).verify(keys, threshold=1)
except VerificationError:
    print("ok")
else:
    sys.exit("a changed payload was accepted")
