"""What outputs say of themselves: in their comment, in XMP, and signed."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pytest

from refrestore import __version__
from refrestore.config import EncoderSettings, RenderSettings
from refrestore.errors import UsageError
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.join import join
from refrestore.media.probe import probe
from refrestore.media.provenance import SOURCE_TYPE, SPANS, Provenance, with_sentence
from refrestore.media.reader import VideoReader
from refrestore.media.segments import SegmentWriter
from refrestore.media.signing import SigningKey, check_signed_name, sign
from refrestore.media.stills import read_tags, write_picture

DONE = Provenance([(1.04, 2.5), (3675, 3680.25)], ["Anna <3", "Ben"], "x4.pth")
SAID = (
    f"Faces of Anna <3 and Ben restored by refrestore {__version__} with neural networks, at "
    "0:00:01.0-0:00:02.5 and 1:01:15.0-1:01:20.2. The rest of the frame was repainted by x4.pth."
)


def test_sentence():
    assert DONE.sentence == SAID
    plain = f"Faces restored by refrestore {__version__} with neural networks."
    assert Provenance().sentence == plain
    many = Provenance([(second * 2, second * 2 + 1) for second in range(SPANS + 1)])
    assert f"at {SPANS + 1} places from 0:00:00.0 to 0:01:21.0" in many.sentence
    assert "\x1b" not in Provenance(people=["\x1b[31m"]).sentence
    assert with_sentence("Aunt's tape \n", "x") == "Aunt's tape\nx"
    assert with_sentence(None, "x") == "x"


def made(source, output, codec, said):
    """Write a film of a source's pictures as a render does."""
    info = probe(source)
    encoder = resolve_encoder(EncoderSettings(codec=codec), info, scale=1, output=output)
    part = output.with_suffix(".segment")
    with VideoReader(source) as reader, SegmentWriter(part, encoder) as writer:
        for frame in reader:
            writer.write(frame.picture, frame.time)
    join([part], encoder, info, output, comment=said)


def comment(path):
    with av.open(str(path)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    return tags.get("comment_restoration" if path.suffix == ".mxf" else "comment")


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mp4", "libx264"), ("mov", "prores_ks"), ("mkv", "ffv1"), ("webm", "libvpx-vp9"),
     ("mxf", "mpeg2video")],
)  # fmt: skip
def test_each_container_says_it(suffix, codec, videos, tmp_path):
    output = tmp_path / f"out.{suffix}"
    made(videos("no_sound"), output, codec, SAID)
    assert comment(output) == SAID
    again = tmp_path / f"again.{suffix}"
    made(output, again, codec, "Once more.")
    assert comment(again) == f"{SAID}\nOnce more."


def test_nothing_is_said_where_nothing_is_to_be_said(videos, tmp_path):
    made(videos("no_sound"), tmp_path / "out.mp4", "libx264", None)
    assert comment(tmp_path / "out.mp4") is None


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_pictures_say_it_as_xmp(suffix, tmp_path):
    picture = np.full((32, 48, 3), 90, np.uint8)
    write_picture(tmp_path / f"a.{suffix}", picture, said=DONE)
    xmp = read_tags(tmp_path / f"a.{suffix}").xmp
    tree = ElementTree.fromstring(xmp)
    assert [one.text for one in tree.iter() if one.tag.endswith("}li")] == [SAID]
    assert SOURCE_TYPE in xmp.decode()
    write_picture(tmp_path / f"b.{suffix}", picture)
    assert read_tags(tmp_path / f"b.{suffix}").xmp is None


def test_what_contradicts_itself_is_refused():
    with pytest.raises(UsageError, match="--name-people"):
        RenderSettings(provenance=False, name_people=True)
    with pytest.raises(UsageError, match="--c2pa-key"):
        RenderSettings(provenance=False, c2pa_key="key.pem")
    with pytest.raises(UsageError, match=r"film\.mkv cannot hold"):
        check_signed_name(Path("film.mkv"))


@pytest.fixture
def key(tmp_path):
    """Return a PEM file of a key and the certificates of a small authority."""
    pytest.importorskip("c2pa")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    began = datetime.datetime(2026, 1, 1)
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def named(name):
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])

    def certificate(subject, holder, *, root):
        uses = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        usage = x509.KeyUsage(digital_signature=not root, key_cert_sign=root, crl_sign=root, **uses)
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named("authority"))
            .public_key(holder.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(began)
            .not_valid_after(began + datetime.timedelta(days=36500))
            .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
                critical=False,
            )
        )
        if not root:
            email = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(email, critical=False)
        signed = builder.sign(authority, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    path = tmp_path / "key.pem"
    path.write_bytes(
        certificate("archive", own, root=False)
        + certificate("authority", authority, root=True)
        + own.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.mark.parametrize("source", ["no_sound", "plain_matroska"])
def test_films_are_signed(source, key, videos, tmp_path):
    import c2pa

    film = tmp_path / ("in.mp4" if source == "no_sound" else "in.mkv")
    film.write_bytes(videos("no_sound" if source == "no_sound" else "aspect").read_bytes())
    output = tmp_path / "out.mp4"
    made(film, output, "libx264", DONE.sentence)
    before = [(packet.pts, bytes(packet)) for packet in packets(output)]
    sign(output, SigningKey.read(key), DONE, film, work=tmp_path)
    assert [(packet.pts, bytes(packet)) for packet in packets(output)] == before
    assert_signed(c2pa, output, film.name)
    with output.open("r+b") as file:  # a byte of a picture
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    with c2pa.Reader(str(output)) as reader:
        assert reader.get_validation_state() == "Invalid"


def packets(path):
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def assert_signed(c2pa, output, source):
    with c2pa.Reader(str(output)) as reader:
        assert reader.get_validation_state() == "Valid"
        manifest = reader.get_active_manifest()
    assert [one["title"] for one in manifest["ingredients"]] == [source]
    (actions,) = (
        one["data"]["actions"] for one in manifest["assertions"] if "actions" in one["label"]
    )
    assert [one["action"] for one in actions] == ["c2pa.opened", "c2pa.edited"]
    assert actions[1]["digitalSourceType"] == SOURCE_TYPE
    assert actions[1]["parameters"]["description"] == SAID
    assert str(output.parent) not in json.dumps(manifest)


def test_pictures_are_signed(key, tmp_path):
    import c2pa

    picture = np.full((64, 64, 3), 90, np.uint8)
    for name in ("in.jpg", "out.png"):
        write_picture(tmp_path / name, picture, said=DONE)
    sign(tmp_path / "out.png", SigningKey.read(key), DONE, tmp_path / "in.jpg", work=tmp_path)
    assert_signed(c2pa, tmp_path / "out.png", "in.jpg")
    assert read_tags(tmp_path / "out.png").xmp is not None


def test_keys_that_cannot_sign_are_one_sentence(key, tmp_path):
    text = key.read_text()
    first = text.index("-----END CERTIFICATE-----") + 26
    for words, content in {
        "must hold a private key": text[:first],
        "cannot be opened": text.replace("BEGIN PRIVATE KEY-----\nM", "BEGIN PRIVATE KEY-----\nA"),
        "cannot sign": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        + text[text.index("-----BEGIN PRIVATE") :],
    }.items():
        (tmp_path / "bad.pem").write_text(content)
        with pytest.raises(UsageError, match=words) as refused:
            SigningKey.read(tmp_path / "bad.pem")
        assert "\n" not in str(refused.value)
    with pytest.raises(UsageError, match="cannot be read"):
        SigningKey.read(tmp_path / "none.pem")
