"""Makes the samples beside it: python3 make.py, with pillow, pillow-heif and pillow-jxl-plugin.

Every picture is the same gradient; most bear the same EXIF time. Camera files are headers made by
hand after the published descriptions of their formats: no camera's file is small enough.
"""

import io
import struct

import pillow_heif
import pillow_jxl  # noqa: F401 (registers itself)
from PIL import Image

pillow_heif.register_heif_opener()
W, H = 40, 24
picture = Image.new("RGB", (W, H))
picture.putdata([(x * 6, y * 10, 128) for y in range(H) for x in range(W)])


def entry(tag, kind, values):
    """An entry of a little-endian TIFF: kind, count, packed values."""
    if kind == 2:
        data = values.encode() + b"\0"
        return tag, kind, len(data), data
    return tag, kind, len(values), struct.pack("<%d%s" % (len(values), {3: "H", 4: "I", 1: "B"}[kind]), *values)


def tiff(first, subs=(), exif=None, magic=b"II*\0", gap=b""):
    """A TIFF: the first directory, SubIFDs, EXIF's directory; no pixels."""
    start = 8 + len(gap)

    def size(entries):
        return 2 + 12 * len(entries) + 4 + sum(len(e[3]) + len(e[3]) % 2 for e in entries if len(e[3]) > 4)

    first = list(first)
    if subs:
        first.append(entry(0x14A, 4, [0] * len(subs)))
    if exif:
        first.append(entry(0x8769, 4, [0]))
    offsets = []
    at = start + size(first)
    for sub in subs:
        offsets.append(at)
        at += size(sub)
    if subs:
        first[[e[0] for e in first].index(0x14A)] = entry(0x14A, 4, offsets)
    if exif:
        first[[e[0] for e in first].index(0x8769)] = entry(0x8769, 4, [at])
    out = magic + struct.pack("<I", start) + gap
    for entries in [first, *subs, *([exif] if exif else [])]:
        entries = sorted(entries)
        extra_at = len(out) + 2 + 12 * len(entries) + 4
        head, extra = struct.pack("<H", len(entries)), b""
        for tag, kind, count, data in entries:
            head += struct.pack("<HHI", tag, kind, count)
            if len(data) <= 4:
                head += data.ljust(4, b"\0")
            else:
                head += struct.pack("<I", extra_at + len(extra))
                extra += data + b"\0" * (len(data) % 2)
        out += head + b"\0\0\0\0" + extra
    return out


TIME = [entry(0x9003, 2, "2021:07:04 18:30:00"), entry(0x9011, 2, "+02:00")]
LOCAL = [entry(0x9003, 2, "2021:07:04 18:30:00")]
EXIF = tiff([entry(0x10F, 2, "Camera")], exif=TIME)
LOCAL_EXIF = tiff([entry(0x10F, 2, "Camera")], exif=LOCAL)


def write(name, data):
    assert len(data) < 3072, (name, len(data))
    with open(name, "wb") as file:
        file.write(data)


def save(name, image=picture, **how):
    data = io.BytesIO()
    image.save(data, **how)
    write(name, data.getvalue())
    return data.getvalue()


jpeg = save("exif.jpg", format="JPEG", quality=30, exif=b"Exif\0\0" + EXIF)
save("local.jpg", format="JPEG", quality=30, progressive=True, exif=b"Exif\0\0" + LOCAL_EXIF)
# Turned by a quarter, taken at no time: the size is the stored one.
save("oriented.jpg", format="JPEG", quality=30, exif=b"Exif\0\0" + tiff([entry(0x112, 3, [6])]))
save("exif.png", format="PNG", exif=EXIF)
save("plain.gif", format="GIF")
save("exif.webp", format="WEBP", quality=20, exif=EXIF)
save("lossy.webp", format="WEBP", quality=20)
save("lossless.webp", format="WEBP", lossless=True)
save("plain.bmp", picture.convert("P"), format="BMP")
save("plain.ico", picture.resize((16, 16)), format="ICO", sizes=[(16, 16)])
save("exif.heic", format="HEIF", quality=10, exif=EXIF)
save("exif.avif", format="AVIF", quality=10, exif=EXIF)
save("plain.jxl", format="JXL", effort=3, quality=30, exif=b"")
save("exif.jxl", format="JXL", effort=3, quality=30, exif=b"\0\0\0\0" + EXIF)
# As this plugin writes what it is given: without the count before the TIFF.
save("bare-exif.jxl", format="JXL", effort=3, quality=30, exif=EXIF)
save("plain.tif", format="TIFF", compression="tiff_deflate")
# BigTIFF, one directory of two entries.
write("big.tif", b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2)
      + struct.pack("<HHQQ", 0x100, 4, 1, W) + struct.pack("<HHQQ", 0x101, 3, 1, H) + b"\0" * 8)
gray = bytes(x * 6 for y in range(H) for x in range(W))
write("plain.qoi", b"qoif" + struct.pack(">IIBB", W, H, 3, 0) + b"\xfd" * 15 + b"\xdd" + b"\0" * 7 + b"\1")
write("ascii.pbm", b"P1\n# a comment\n4 2\n1010\n0101\n")
write("ascii.pgm", b"P2\n4 2\n255\n1 2 3 4\n5 6 7 8\n")
write("ascii.ppm", b"P3 2 1 255\n1 2 3 4 5 6\n")
write("plain.pbm", b"P4 40 24\n" + b"\xaa" * (5 * 24))
write("plain.pgm", b"P5\n# %s\n40 24 255\n" % (b"a comment past the bytes that decide" * 2) + gray)
write("plain.ppm", b"P6\n40 24\n255\n" + picture.tobytes())
write("plain.pam", b"P7\nWIDTH 40\nHEIGHT 24\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n" + gray)

THUMB = [entry(0xFE, 4, [1]), entry(0x100, 3, [16]), entry(0x101, 3, [12]), entry(0x106, 3, [2])]
SENSOR = [entry(0xFE, 4, [0]), entry(0x100, 4, [6000]), entry(0x101, 4, [4000]), entry(0x106, 3, [32803])]
PREVIEW = [entry(0xFE, 4, [1]), entry(0x100, 4, [1620]), entry(0x101, 4, [1080]), entry(0x103, 3, [6])]


def make(name):
    return entry(0x10F, 2, name)


FULL = [entry(0x100, 3, [6000]), entry(0x101, 3, [4000])]
write("head.nef", tiff([*THUMB, make("NIKON CORPORATION")], [PREVIEW, SENSOR], TIME))
write("head.arw", tiff([*PREVIEW, make("SONY")], [SENSOR], TIME))
write("head.dng", tiff([*THUMB, make("Google"), entry(0xC612, 1, [1, 4, 0, 0])], [SENSOR], TIME))
write("head.pef", tiff([*SENSOR, make("RICOH IMAGING COMPANY, LTD.")], [], TIME))
write("head.srw", tiff([*THUMB, make("SAMSUNG")], [PREVIEW, SENSOR], TIME))
write("head.cr2", tiff([*FULL, make("Canon")], [], TIME, gap=b"CR\x02\0\0\0\0\0"))
write("head.orf", tiff([*FULL, make("OLYMPUS CORPORATION")], [], TIME, magic=b"IIRO"))
write("head.rw2", tiff([entry(4, 3, [4]), entry(5, 3, [8]), entry(6, 3, [4004]), entry(7, 3, [6008]),
                        make("Panasonic")], [], TIME, magic=b"IIU\0"))
# A camera's name alone makes no RAW.
write("camera.tif", tiff([*FULL, make("NIKON CORPORATION"), entry(0x106, 3, [2])], [], TIME))
write("head.raf", (b"FUJIFILMCCD-RAW 0201FF129505X-T3".ljust(84, b"\0")
                   + struct.pack(">IIII", 160, len(jpeg), 160 + len(jpeg), 16)).ljust(160, b"\0")
      + jpeg + struct.pack(">IHHHHHHHH", 2, 0x100, 4, 4170, 6384, 0x111, 4, 4000, 6000))
write("head.x3f", b"FOVb" + struct.pack("<I", 0x20002) + b"\0" * 20 + struct.pack("<III", 6000, 4000, 0))
prd = b"\0PRD" + struct.pack(">I8sHHHH", 16, b"27730001", 4016, 6016, 4000, 6000)
ttw = b"\0TTW" + struct.pack(">I", len(EXIF)) + EXIF
write("head.mrw", b"\0MRM" + struct.pack(">I", len(prd + ttw)) + prd + ttw)
write("head.crw", b"II\x1a\0\0\0HEAPCCDR\2\0\1\0".ljust(64, b"\0"))


def box(name, *parts):
    data = b"".join(parts)
    return struct.pack(">I", 8 + len(data)) + name + data


CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
write("head.cr3", box(b"ftyp", b"crx \0\0\0\1crx isom")
      + box(b"moov", box(b"uuid", CANON, box(b"CNCV", b"CanonCR3"), box(b"CMT1", tiff([*FULL, make("Canon")])),
                         box(b"CMT2", tiff(TIME)))))
