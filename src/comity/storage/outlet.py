"""How this machine's settings say that connections to its rendezvous leave it, with the proxy's credentials.

It reads the credentials' file and opens nothing else. The password goes into the ``Outlet`` and into no
message.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from comity import limits
from comity.errors import HomeUnsafe, InvalidInput, StorageUnusable
from comity.identity.card import JoinUrl
from comity.protocol.proxying import Login, Outlet, bypassed, is_loopback
from comity.storage import settings
from comity.storage.config import Config
from comity.storage.private import read_private
from comity.storage.settings import SETTINGS, Said


def find_outlet(
    join: JoinUrl, environ: Mapping[str, str], config: Config, proxy_flag: str | None = None
) -> Outlet:
    """The way out to the rendezvous that ``join`` names.

    InvalidInput naming the setting that can't be understood; HomeUnsafe where others can read the
    credentials, StorageUnusable where nobody can.
    """
    said = settings.said("proxy", environ, config, proxy_flag)
    proxy = settings.parsed(said, settings.proxy)
    exempt = settings.said("no_proxy", environ, config)
    rules = settings.parsed(exempt, settings.no_proxy)
    credentials = settings.said("proxy_credentials_file", environ, config)
    file = settings.parsed(credentials, settings.file)
    bundle = settings.parsed(settings.said("ca_bundle", environ, config), settings.file)
    trusted = "" if bundle is None else str(bundle)
    if proxy is None:
        return Outlet(None, said.origin if said.text else "", trusted)
    if bypassed(rules, join.host, join.port):
        return Outlet(None, f"{exempt.origin} exempts {join.host} from {said.origin}", trusted)
    if said.origin in SETTINGS["proxy"].shared and is_loopback(join.host):
        return Outlet(None, f"{join.host} is this machine: {said.origin} does not apply", trusted)
    login = proxy.login if file is None else _login(file, credentials)
    return Outlet(proxy.with_login(login), said.origin, trusted)


def _login(file: Path, said: Said) -> Login:
    try:
        if said.source == "credential":  # systemd keeps it private, in a way that modes don't show
            with file.open("rb") as opened:
                data = opened.read(limits.PROXY_CREDENTIALS_BYTES + 1)
        else:
            data = read_private(file, limits.PROXY_CREDENTIALS_BYTES)
        text = data.decode("utf-8")
        if len(data) > limits.PROXY_CREDENTIALS_BYTES:
            raise InvalidInput(f"longer than {limits.PROXY_CREDENTIALS_BYTES} bytes")
        return Login.parse(text.rstrip("\r\n"))
    except UnicodeDecodeError:
        raise InvalidInput(f"{said.origin}: {file} is not UTF-8 text") from None
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise InvalidInput(f"{said.origin}: {file} cannot be read: {reason}") from error
    except (InvalidInput, HomeUnsafe, StorageUnusable) as error:
        raise type(error)(f"{said.origin}: {error.message}", hint=error.hint) from error
