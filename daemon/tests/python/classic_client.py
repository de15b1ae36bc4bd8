"""The whole table of the classic dialect, asked as an old client asks: with the library that it used.

classic_client.py URL CLIENT: URL is a server with an empty repository, CLIENT the path of the v2 client.
"""
import asyncio, importlib.util, json, sys
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from pictures import bitmap

WAIT = 60  # seconds for one message: the end of a hang, not a measure

class Old:
    """A session as an old client holds one. Its menu takes one command after the other."""

    def __init__(self, socket): self.socket, self.events = socket, []

    async def say(self, cmd, *args): await self.socket.send(json.dumps({"cmd": cmd, "args": list(args)}))

    async def message(self):
        message = await asyncio.wait_for(self.socket.recv(), WAIT)
        return message if isinstance(message, bytes) else json.loads(message)

    async def reply(self):
        while "event" in (message := await self.message()): self.events.append(message)
        return message

    async def event(self, name):
        """The event that names this image; whatever came before it is an event too."""
        for past in self.events:
            if f"'{name}'" in past.get("message", ""): return past
        while True:
            message = await self.message()
            assert "event" in message, message
            self.events.append(message)
            if f"'{name}'" in message.get("message", ""): return message

    async def ask(self, cmd, *args):
        await self.say(cmd, *args)
        return await self.reply()

    async def success(self, cmd, *args):
        reply = await self.ask(cmd, *args)
        assert reply["status"] == "SUCCESS", reply
        return reply

    async def error(self, cmd, *args):
        reply = await self.ask(cmd, *args)
        assert reply["status"] == "ERROR" and reply["message"], reply
        return reply

    async def upload(self, name, content, cmd="UPLOAD"):
        ready = await self.ask(cmd, name, str(len(content)))
        assert ready == {"status": "READY", "cmd": "UPLOAD_DATA"}, ready
        await self.socket.send(content)
        return await self.reply()

    async def stored(self, name, content):
        reply = await self.upload(name, content)
        assert reply["status"] == "SUCCESS", reply
        return int("".join(c if c.isdigit() else " " for c in reply["message"]).split()[-1])

    async def fetched(self, cmd, name):
        """The content, after SIZE_INFO; nothing may come between them and the SUCCESS."""
        info = await self.ask(cmd, name)
        assert info["status"] == "SIZE_INFO" and info["filename"] == name and info["mode"] == cmd, info
        content = await self.message()
        assert isinstance(content, bytes) and len(content) == info["size"], info
        end = await self.message()
        assert end.get("status") == "SUCCESS", end
        return content

    async def names(self, cmd="LIST"):
        reply = await self.success(cmd)
        assert reply["cmd"] == "LIST"
        return [(entry["filename"], entry["uploader"]) for entry in reply["data"]]

def old(url): return connect(url, max_size=64 << 20)

async def table(url, v2):
    async with old(url) as ana_socket, old(url) as bruno_socket:
        ana, bruno = Old(ana_socket), Old(bruno_socket)
        # Nothing was ever uploaded: no HISTORY comes between these two replies.
        await ana.success("AUTH", "ana")
        assert "status" in await ana.ask("LIST") and not ana.events
        await bruno.success("auth", "bruno")

        a = bitmap(50_000)
        assert await ana.stored("a.bmp", a) == 1
        assert not any("'a.bmp'" in event["message"] for event in ana.events), "the event before SUCCESS"
        for session in ana, bruno:
            event = await session.event("a.bmp")
            assert event["event"] == "NEW_UPLOAD" and event["message"].startswith("Novo arquivo 'a.bmp'")
            assert "ana" in event["message"], event
        assert await bruno.names("list") == [("a.bmp", "ana")]
        assert await bruno.fetched("DOWNLOAD", "a.bmp") == a
        assert await bruno.fetched("VIEW", "a.bmp") == a

        # The same again is the same; another name or another content is new.
        told = len(ana.events)
        assert await ana.stored("a.bmp", a) == 1
        assert await ana.names() == [("a.bmp", "ana")] and len(ana.events) == told
        assert await ana.stored("copy.bmp", a) == 2
        newer = bitmap(70_000)
        assert await ana.stored("a.bmp", newer) == 3
        assert await bruno.fetched("DOWNLOAD", "a.bmp") == newer, "the newest of that name"
        assert await ana.names() == [("a.bmp", "ana"), ("copy.bmp", "ana"), ("a.bmp", "ana")]

        # What is refused leaves the session as it was.
        await ana.error("UPLOAD", "x.bmp")
        await ana.error("UPLOAD", "x.bmp", "many")
        await ana.error("UPLOAD", "x.bmp", "-1")
        await ana.error("UPLOAD", "x.bmp", str(65 << 20))
        await ana.error("UPLOAD", "x.bmp", str(2 ** 63))
        await ana.error("UPLOAD", "x.bmp", str(2 ** 64))
        await ana.error("DOWNLOAD", "none.bmp")
        await ana.error("DOWNLOAD")
        await ana.error("VIEW", "none.bmp")
        await ana.error("FLY")
        await ana_socket.send("no json")
        assert (await ana.reply())["status"] == "ERROR"
        for said, sent in (100, bitmap(99)), (100, bitmap(101)), (5000, bitmap(90_000)):
            await ana.ask("UPLOAD", "x.bmp", str(said))
            await ana_socket.send(sent)
            assert (await ana.reply())["status"] == "ERROR", (said, len(sent))
        assert (await ana.upload("text.jpg", b"no image, whatever its name says"))["status"] == "ERROR"
        await ana.ask("UPLOAD", "x.bmp", "100")
        await ana.error("LIST")
        assert len(await ana.names()) == 3, "the text ended the upload, and the session goes on"
        # What was not announced is dropped.
        for size in 0, 1000, 5 << 20: await ana_socket.send(bytes(size))
        assert len(await ana.names()) == 3

        # 30 MB, with an upload of somebody else while they come back: its event waits.
        large = bitmap(30_000_000)
        assert await bruno.stored("large.bmp", large) == 4
        await ana.event("large.bmp")
        await ana.say("DOWNLOAD", "large.bmp")
        small = bitmap(1000)
        assert await bruno.stored("meanwhile.bmp", small) == 5
        info = await ana.reply()
        assert info["status"] == "SIZE_INFO", info
        assert await ana.message() == large
        assert (await ana.message()).get("status") == "SUCCESS"
        await ana.event("meanwhile.bmp")

        # Somebody who speaks v2.
        async with connect(url, subprotocols=["imgrepo.v2"], compression=None) as socket:
            carla = v2.Session(socket)
            carla.limits = (await carla.result("AUTH", user="carla"))["limits"]
            with open("from-v2.bmp", "wb") as file: file.write(bitmap(3_000_000))
            assert (await carla.upload("from-v2.bmp"))["id"] == 6
        for session in ana, bruno: assert "carla" in (await session.event("from-v2.bmp"))["message"]
        with open("from-v2.bmp", "rb") as file:
            assert await bruno.fetched("DOWNLOAD", "from-v2.bmp") == file.read()

        # Who gives no name, or never says AUTH.
        async with old(url) as socket:
            await Old(socket).stored("silent.bmp", bitmap(2000))
        async with old(url) as socket:
            nobody = Old(socket)
            await nobody.success("AUTH")
            history = await nobody.message()
            assert history["event"] == "HISTORY" and len(history["data"]) == 5, history
            assert [event["event"] for event in history["data"]] == ["NEW_UPLOAD"] * 5
            last = ["a.bmp", "large.bmp", "meanwhile.bmp", "from-v2.bmp", "silent.bmp"]
            for event, name in zip(history["data"], last): assert f"'{name}'" in event["message"], history
            await nobody.stored("nameless.bmp", bitmap(3000))
        assert (await ana.names())[-2:] == [("silent.bmp", "anon"), ("nameless.bmp", "anon")]

        bye = await ana.ask("DISCONNECT")
        assert bye["status"] == "BYE" and bye["message"], bye
        try:
            while True: await ana.message()
        except ConnectionClosed as closed:
            assert closed.rcvd.code == 1000, closed

spec = importlib.util.spec_from_file_location("client", sys.argv[2])
client = importlib.util.module_from_spec(spec)
spec.loader.exec_module(client)
client.show = lambda value: None
asyncio.run(table(sys.argv[1], client))
print("the classic table holds")
