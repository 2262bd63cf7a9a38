"""XMP as photo managers write it, for tests: the same regions in four spellings."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
MWG = (
    'xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" '
    'xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#" '
    'xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#"'
)
MICROSOFT = (
    'xmlns:MP="http://ns.microsoft.com/photo/1.2/" '
    'xmlns:MPRI="http://ns.microsoft.com/photo/1.2/t/RegionInfo#" '
    'xmlns:MPReg="http://ns.microsoft.com/photo/1.2/t/Region#"'
)

ENTITY = """<?xml version="1.0"?>
<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<x>&b;</x>"""
"""The beginning of a billion laughs."""


def packet(inside: str, names: str = "") -> str:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">'
        f'<rdf:Description rdf:about="" {names}>{inside}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
    )


def digikam(faces, size) -> str:
    """Everything that can be an attribute is one; the regions are in a bag."""
    items = "".join(
        f'<rdf:li><rdf:Description mwg-rs:Name={quoteattr(name)} mwg-rs:Type="Face">'
        f'<mwg-rs:Area stArea:x="{x}" stArea:y="{y}" stArea:w="{w}" stArea:h="{h}" '
        'stArea:unit="normalized"/></rdf:Description></rdf:li>'
        for name, x, y, w, h in faces
    )
    return packet(
        '<mwg-rs:Regions rdf:parseType="Resource">'
        f'<mwg-rs:AppliedToDimensions stDim:w="{size[0]}" stDim:h="{size[1]}" stDim:unit="pixel"/>'
        f"<mwg-rs:RegionList><rdf:Bag>{items}</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>",
        MWG,
    )


def picasa(faces, size) -> str:
    """Everything is an element."""
    items = "".join(
        '<rdf:li rdf:parseType="Resource"><mwg-rs:Type>Face</mwg-rs:Type>'
        f"<mwg-rs:Name>{name}</mwg-rs:Name>"
        '<mwg-rs:Area rdf:parseType="Resource">'
        f"<stArea:x>{x}</stArea:x><stArea:y>{y}</stArea:y>"
        f"<stArea:w>{w}</stArea:w><stArea:h>{h}</stArea:h>"
        "<stArea:unit>normalized</stArea:unit></mwg-rs:Area></rdf:li>"
        for name, x, y, w, h in faces
    )
    return packet(
        '<mwg-rs:Regions rdf:parseType="Resource">'
        '<mwg-rs:AppliedToDimensions rdf:parseType="Resource">'
        f"<stDim:w>{size[0]}</stDim:w><stDim:h>{size[1]}</stDim:h><stDim:unit>pixel</stDim:unit>"
        "</mwg-rs:AppliedToDimensions>"
        f"<mwg-rs:RegionList><rdf:Bag>{items}</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>",
        MWG,
    )


def lightroom(faces, size) -> str:
    """Nodes in nodes; a face has a rotation and lies in a sequence."""
    items = "".join(
        f'<rdf:li><rdf:Description mwg-rs:Rotation="0.0" mwg-rs:Name={quoteattr(name)} '
        'mwg-rs:Type="Face">'
        f'<mwg-rs:Area stArea:h="{h}" stArea:w="{w}" stArea:x="{x}" stArea:y="{y}"/>'
        "</rdf:Description></rdf:li>"
        for name, x, y, w, h in faces
    )
    return packet(
        "<mwg-rs:Regions><rdf:Description>"
        f'<mwg-rs:AppliedToDimensions stDim:w="{size[0]}" stDim:h="{size[1]}" stDim:unit="pixel"/>'
        f"<mwg-rs:RegionList><rdf:Seq>{items}</rdf:Seq></mwg-rs:RegionList>"
        "</rdf:Description></mwg-rs:Regions>",
        MWG,
    )


def people_tags(faces, _size) -> str:
    """Microsoft's, which say corners and no size; digiKam writes them too."""
    items = "".join(
        f"<rdf:li MPReg:PersonDisplayName={quoteattr(name)} "
        f'MPReg:Rectangle="{x - w / 2}, {y - h / 2}, {w}, {h}"/>'
        for name, x, y, w, h in faces
    )
    return packet(
        '<MP:RegionInfo rdf:parseType="Resource">'
        f"<MPRI:Regions><rdf:Bag>{items}</rdf:Bag></MPRI:Regions></MP:RegionInfo>",
        MICROSOFT,
    )
