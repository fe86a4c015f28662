"""A registry of images: manifests and blobs by GET, as the distribution specification has them."""

import http.server
import threading

from harness.images import sha


class Registry:
    """Listens on a free port of loopback until it is closed. `asked` is every path that was asked for."""

    def __init__(self):
        self.documents = {}
        self.asked = []
        self.login = False
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.asked.append(self.path)
                found = registry.documents.get(self.path)
                status = 401 if registry.login else 200 if found is not None else 404
                body = found if status == 200 else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def push(self, name, tag, image, index=None):
        """Puts an image where a client looks for it; with an index in front of it if there is one."""
        blobs = image.blobs() | ({sha(index): index} if index else {})
        for digest, data in blobs.items():
            kind = "manifests" if data in (image.manifest, index) else "blobs"
            self.documents[f"/v2/{name}/{kind}/sha256:{digest}"] = data
        self.documents[f"/v2/{name}/manifests/{tag}"] = index or image.manifest
        return f"{self.address}/{name}:{tag}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
