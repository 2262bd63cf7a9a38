"""Who is never trained on: one split of people and clips for all networks of the lite pack."""

from __future__ import annotations

import zlib

PEOPLE = (
    *("dmdnet_00022", "dmdnet_00119", "dmdnet_00146"),
    *("sport_roger_federer", "sport_serena_williams"),
    *("celeb5_Madonna", "celeb5_Jerry_Seinfield"),
)
"""Photos: these folders, all of celeb20, and a fifth of LFW."""

CLIPS = (
    "LivePortrait__assets_examples_source_s20",
    "LivePortrait__assets_examples_driving_d12",
    "MegaPortrait-hack__junk_M2Ohb0FAaJU_1",
    "video-retalking__examples_face_2_f431ba",
    "ghost__examples_videos_2person",
    "tears_of_steel_360p",
    "tears_of_steel_720p",
)
"""Films and clips by file stem."""

FAMOUS = (
    *("Amir_Khan", "Brad_Pitt", "Denzel_Washington", "Hugh_Jackman", "Jennifer_Lawrence"),
    *("Johnny_Depp", "Kate_Winslet", "Leonardo_DiCaprio", "Megan_Fox", "Nicole_Kidman"),
    *("Robert_Downey_Jr", "Salman_Khan", "Sandra_Bullock", "Scarlett_Johansson"),
    *("Shahrukh_Khan", "Tom_Cruise", "Tom_Hanks", "Will_Smith", "Madonna"),
    *("Jerry_Seinfeld", "Roger_Federer", "Serena_Williams"),
)
"""The same people under their own names, wherever else they may turn up."""

LFW_SHARE = 5


def held_out(name: str) -> bool:
    """Whether a person or clip is for validation only.

    Parameters
    ----------
    name
        Folder of a person (LFW's as `lfw/NAME`), stem of a clip or of a film; what follows a `#`
        (the number of a person in a clip) does not count.
    """
    name = name.split("#", maxsplit=1)[0]
    plain = name.rsplit("/", 1)[-1]
    if name.startswith("celeb20_") or plain in FAMOUS or name in PEOPLE or name in CLIPS:
        return True
    return name.startswith("lfw/") and zlib.crc32(plain.encode()) % LFW_SHARE == 0
