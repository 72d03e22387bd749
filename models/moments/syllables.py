"""Sounds of Chinese characters: what a recogniser confuses."""
import functools

from pypinyin import Style, pinyin


@functools.lru_cache(maxsize=None)
def syllable(ch):
    """Commonest reading without tone, or '' for what has none."""
    if not "\u4e00" <= ch <= "\u9fff":
        return ""
    s = pinyin(ch, style=Style.NORMAL, v_to_u=False, errors="ignore")
    return s[0][0] if s else ""


def coarse(s):
    """Merges what accents and recognisers merge: zh/z, ch/c, sh/s, and final ng/n."""
    if s[:2] in ("zh", "ch", "sh"):
        s = s[0] + s[2:]
    return s[:-1] if s.endswith("ng") else s


def common_characters(levels=2):
    """GB 2312: level 1 (3755 common characters) and level 2 (3008 rarer ones)."""
    for high in range(0xB0, 0xD8 if levels == 1 else 0xF8):
        for low in range(0xA1, 0xFF):
            try:
                yield bytes([high, low]).decode("gb2312")
            except UnicodeDecodeError:
                pass
