"""A whole client of imgrepo: `pip install websockets`, and `blake3` too to check and to resume.

python client.py ws://127.0.0.1:8765/ ana  upload FILE | list [GLOB] | download ID FILE | events [SINCE]
"""
import asyncio, json, os, struct, sys
from websockets.asyncio.client import connect
try: from blake3 import blake3
except ImportError: blake3 = None

def show(value): print(json.dumps(value, ensure_ascii=False), flush=True)

class Session:
    def __init__(self, socket): self.socket, self.id = socket, 0

    async def ask(self, cmd, **args):
        """Sends a request and yields its replies; for a data message (offset, bytes)."""
        self.id += 1
        await self.socket.send(json.dumps({"id": self.id, "cmd": cmd, "args": args}))
        async for message in self.socket:
            if isinstance(message, bytes):
                request, offset = struct.unpack_from(">IQ", message)
                if request == self.id: yield offset, message[12:]
                continue
            reply = json.loads(message)
            if reply.get("id") == self.id:                  # else an event
                if reply["status"] == "ERROR": sys.exit(f"{reply['code']}: {reply['message']}")
                yield reply
                if reply["status"] in ("SUCCESS", "BYE"): return

    async def result(self, cmd, **args):
        return [reply async for reply in self.ask(cmd, **args)][-1].get("data")

    async def upload(self, path):
        size, window, args = os.path.getsize(path), self.limits["window"], {}
        if blake3: args["hash"] = blake3().update_mmap(path).hexdigest()
        with open(path, "rb") as file:
            async for reply in self.ask("UPLOAD", name=os.path.basename(path), size=size, **args):
                if reply["status"] == "SUCCESS": return reply["data"]["image"]
                if reply["status"] == "READY": file.seek(reply["offset"])   # it may hold a part already
                while (at := file.tell()) < min(size, edge := reply["offset"] + window):
                    piece = file.read(min(edge - at, self.limits["chunk"]))
                    if not piece: sys.exit(f"{path} was cut while it was read")
                    await self.socket.send(struct.pack(">IQ", self.id, at) + piece)

    async def download(self, image, path):
        hasher = blake3() if blake3 else None
        with open(path, "wb") as file:
            async for reply in self.ask("DOWNLOAD", image=image):
                if isinstance(reply, tuple):
                    offset, piece = reply
                    file.write(piece)
                    if hasher: hasher.update(piece)
                    taken = {"id": self.id, "cmd": "ACK", "offset": offset + len(piece)}
                    await self.socket.send(json.dumps(taken))
                elif reply["status"] == "SUCCESS" and hasher and hasher.hexdigest() != reply["data"]["hash"]:
                    sys.exit(f"{path} came damaged")

    async def list(self, pattern="*", page={"next": None}):
        while page := await self.result("LIST", filter={"name": pattern}, cursor=page["next"]):
            for image in page["images"]: show(image)
            if not page["next"]: return

async def main(url, user, command, *words):
    async with connect(url, subprotocols=["imgrepo.v2"], compression=None) as socket:
        session = Session(socket)
        since = {"events_since": int(words[0])} if command == "events" and words else {}
        session.limits = (await session.result("AUTH", user=user, **since))["limits"]
        if command == "upload": show(await session.upload(words[0]))
        if command == "download": await session.download(int(words[0]), words[1])
        if command == "list": await session.list(*words)
        if command == "events":
            async for message in socket: show(json.loads(message))          # until Ctrl-C
        await session.result("DISCONNECT")

if __name__ == "__main__": asyncio.run(main(*sys.argv[1:]))
