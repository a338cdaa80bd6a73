"""A small server with OpenAI's /v1/completions over any backend, for tests of the remote one."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from quipu.request import Request, Sampling

MODEL = "tiny"


@contextlib.contextmanager
def serve(backend, *, token_ids=True, models=None):
    """The base address of a server on this machine, for as long as the context lasts.

    `token_ids` False: it gives text alone, as a server does that knows nothing of vLLM's fields.
    """
    entry = {"id": MODEL, "object": "model", "max_model_len": backend.info.context}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            reply(self, {"object": "list", "data": models or [entry]})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if body.get("echo"):
                reply(self, echo(backend, body))
            else:
                stream(self, backend, body, token_ids and body.get("return_token_ids"))

    with run(Handler) as address:
        yield address


@contextlib.contextmanager
def run(handler):
    """Serve with a handler class."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(handler, value, status=200):
    data = json.dumps(value).encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def request_of(backend, body):
    ends = [] if body.get("ignore_eos") else [backend.tokenizer.eos_id]
    names = ("max_tokens", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "n")
    return Request(
        prompt=tuple(body["prompt"]),
        stop_ids=(*ends, *body.get("stop_token_ids", ())),
        sampling=Sampling(
            **{name: body[name] for name in names if name in body},
            seed=body.get("seed"),
            stop=tuple(body.get("stop", ())),
            logprobs=body.get("logprobs"),
            logit_bias={int(token): bias for token, bias in body.get("logit_bias", {}).items()},
        ),
    )


def stream(handler, backend, body, token_ids):
    pieces = backend.submit(request_of(backend, body))
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.end_headers()

    def send(value):
        text = value if isinstance(value, str) else json.dumps(value)
        handler.wfile.write(f"data: {text}\n\n".encode())

    cached = 0
    try:
        for piece in pieces:
            choice = {"index": piece.index, "text": piece.text, "logprobs": None}
            if token_ids:
                choice["token_ids"] = list(piece.token_ids)
            if piece.logprobs:
                choice["logprobs"] = {
                    "tokens": [f"token_id:{p.token_id}" for p in piece.logprobs],
                    "token_logprobs": [p.logprob for p in piece.logprobs],
                    "top_logprobs": [
                        {f"token_id:{i}": value for i, value in p.top} for p in piece.logprobs
                    ],
                }
            choice["finish_reason"] = piece.finish_reason
            cached = piece.cached_tokens or cached
            send({"object": "text_completion", "choices": [choice]})
        send({"choices": [], "usage": {"prompt_tokens_details": {"cached_tokens": cached}}})
        send("[DONE]")
    except OSError:  # the client hung up
        pieces.cancel()


def echo(backend, body):
    ids = body["prompt"]
    logprobs = {
        "tokens": [f"token_id:{token}" for token in ids],
        "token_logprobs": [None, *backend.score(ids).tolist()],
    }
    return {"choices": [{"index": 0, "text": "", "logprobs": logprobs}]}
