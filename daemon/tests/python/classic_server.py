"""A small old server, by the old system's table and with its library: for the daemon to be a client of.

classic_server.py [MAX_SIZE [FOLDER]]: prints its address. MAX_SIZE is the most bytes of a message; the
library's own 1 MiB when missing, as in the old system. FOLDER is one that an old server left, with
metadata.json and imagens/; what comes new is not written there.
"""
import asyncio, json, os, sys
from websockets.asyncio.server import serve

images, sessions = [], set()

def load(folder):
    with open(os.path.join(folder, "metadata.json")) as file:   # in the system's encoding, as the old one did
        for entry in json.load(file):
            with open(os.path.join(folder, entry["path"]), "rb") as image: content = image.read()
            assert entry["thumb_path"] is None or os.path.getsize(os.path.join(folder, entry["thumb_path"]))
            images.append({"filename": entry["filename"], "uploader": entry["uploader"], "content": content})

def notice(image):
    return {"event": "NEW_UPLOAD", "message": f"Novo arquivo '{image['filename']}' enviado por {image['uploader']}"}

async def session(socket):
    async def say(**message): await socket.send(json.dumps(message))
    user, upload = "anon", None
    sessions.add(socket)
    try:
        async for message in socket:
            if isinstance(message, bytes):
                name, size = upload
                upload = None
                if len(message) != size:
                    await say(status="ERROR", message="Tamanho incorreto")
                    continue
                images.append({"filename": name, "uploader": user, "content": message})
                await say(status="SUCCESS", message=f"Arquivo '{name}' salvo com ID {len(images)}")
                for other in list(sessions): await other.send(json.dumps(notice(images[-1])))
                continue
            command = json.loads(message)
            cmd, args = command["cmd"].upper(), command.get("args", [])
            if cmd == "AUTH":
                user = args[0] if args and args[0] else "anon"
                await say(status="SUCCESS", message=f"Bem-vindo, {user}")
                if images: await say(event="HISTORY", data=[notice(image) for image in images[-5:]])
            elif cmd == "LIST":
                data = [{"filename": image["filename"], "uploader": image["uploader"]} for image in images]
                await say(status="SUCCESS", cmd="LIST", data=data)
            elif cmd == "UPLOAD":
                upload = args[0], int(args[1])
                await say(status="READY", cmd="UPLOAD_DATA")
            elif cmd in ("DOWNLOAD", "VIEW"):
                found = [image for image in images if image["filename"] == args[0]]
                if not found:
                    await say(status="ERROR", message="Arquivo não encontrado")
                    continue
                content = found[0]["content"]       # the oldest of that name
                await say(status="SIZE_INFO", size=len(content), filename=args[0], mode=cmd)
                await socket.send(content)
                await say(status="SUCCESS", message="Envio concluído")
            elif cmd == "DISCONNECT":
                await say(status="BYE", message="Até logo")
                return
            else: await say(status="ERROR", message="Comando desconhecido")
    finally: sessions.discard(socket)

async def main(limit):
    async with serve(session, "127.0.0.1", 0, **limit) as server:
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the test lets go

if sys.argv[2:]: load(sys.argv[2])
asyncio.run(main({"max_size": int(sys.argv[1])} if sys.argv[1:] else {}))
