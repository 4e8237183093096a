"""s3_client - look at the objects behind a cluster, and damage them as a bad disk would.

Requests are signed as AWS's signature version 2 wants it, which MinIO and SeaweedFS take.
"""
import base64
import email.utils
import hashlib
import hmac
import re
import urllib.parse
import urllib.request

import servers


class Bucket:
    def __init__(self, address, name="elanus"):
        self.address, self.name = address, name

    def headers(self, verb, path, kind=""):
        """What a request of a path below the bucket must carry; signed for now."""
        date = email.utils.formatdate(usegmt=True)
        text = f"{verb}\n\n{kind}\n{date}\n/{self.name}{path}"
        mac = hmac.new(servers.S3_SECRET.encode(), text.encode(), hashlib.sha1).digest()
        signed = {"Date": date, "Authorization":
                  f"AWS {servers.S3_KEY}:{base64.b64encode(mac).decode()}"}
        return {**signed, "Content-Type": kind} if kind else signed

    def _ask(self, verb, path, query="", body=None):
        kind = "application/octet-stream" if body is not None else ""
        request = urllib.request.Request(f"http://{self.address}/{self.name}{path}{query}",
                                         data=body, headers=self.headers(verb, path, kind),
                                         method=verb)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def keys(self, prefix):
        """All keys that begin so (at most a thousand)."""
        query = "?" + urllib.parse.urlencode({"prefix": prefix})
        return re.findall(r"<Key>([^<]*)</Key>", self._ask("GET", "", query).decode())

    def get(self, key):
        return self._ask("GET", "/" + urllib.parse.quote(key))

    def put(self, key, body):
        self._ask("PUT", "/" + urllib.parse.quote(key), body=body)

    def delete(self, key):
        self._ask("DELETE", "/" + urllib.parse.quote(key))

    def flip(self, key, at=None):
        """Change one byte; the object as it was, for putting it back."""
        was = self.get(key)
        place = len(was) // 2 if at is None else at
        self.put(key, was[:place] + bytes([was[place] ^ 0x40]) + was[place + 1:])
        return was
