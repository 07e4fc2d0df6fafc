"""Requests as a server makes them: through WSGI to the end of the response, where Django closes or keeps connections."""

import json

from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory

_handler = WSGIHandler()
_factory = RequestFactory()


class Browser:
    """Keeps cookies; `get` and `post` give the status and the JSON of the answer. `tenant` may be changed on the way."""

    def __init__(self, tenant=None):
        self.tenant = tenant
        self._cookies = {}

    def get(self, path):
        return self._send(_factory.get(path))

    def post(self, path, body=None):
        return self._send(_factory.post(path, json.dumps(body), content_type="application/json"))

    def _send(self, request):
        if self._cookies:
            request.environ["HTTP_COOKIE"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        if self.tenant is not None:
            request.environ["HTTP_X_TENANT"] = self.tenant
        heard = []
        response = _handler(request.environ, lambda status, headers: heard.append((status, headers)))
        body = b"".join(response)
        response.close()
        self._cookies.update({name: cookie.value for name, cookie in response.cookies.items()})
        status = int(heard[0][0].split()[0])
        return status, json.loads(body) if status == 200 else None
