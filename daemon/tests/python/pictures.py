"""Bitmaps of any length whose pixels are random: no two are alike."""
import os, struct

def bitmap(size):
    header = b"BM" + struct.pack("<IHHI", size, 0, 0, 54)
    header += struct.pack("<IiiHHIIiiII", 40, 256, max(0, size - 54) // 1024, 1, 32, 0, 0, 0, 0, 0, 0)
    return (header + os.urandom(size))[:size]
