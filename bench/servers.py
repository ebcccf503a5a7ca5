"""The servers: how each is configured and started. An entry gives its command line, and whether it must start as root."""
import os
import shutil

import measure
from sandbox import UNPACKED, Missing, run

def program(name):
    """Where a program is; raises Missing when it is nowhere."""
    path = os.environ.get("PATH", "") + os.pathsep + os.pathsep.join(("/usr/sbin", "/sbin", f"{UNPACKED}/usr/sbin", f"{UNPACKED}/usr/bin"))
    found = shutil.which(name, path=path)
    if not found:
        raise Missing(f"{name} is not installed")
    return os.path.abspath(found)


class Server:
    """A server that runs: its port, its process, and that of all below it."""

    def __init__(self, place, name, port, argv, root=False):
        self.name, self.port, self.place, self.argv, self.root = name, port, place, argv, root
        self.group = measure.Group(place, name)
        self.start()

    def start(self):
        """Starts it, and waits until it listens."""
        path = os.path.join(self.place.log, self.name)
        with open(path, "w") as log:
            self.process = measure.start(self.place, self.argv, root=self.root, stdout=log, stderr=log, cwd="/")
        if not measure.wait_for(lambda: self.process.poll() is not None or is_listening(self.port)) or self.process.poll() is not None:
            self.stop()
            with open(path, errors="replace") as log:
                raise Missing(f"{self.name} did not start: {log.read()[-300:].strip()}")
        # Workers are there by now.
        self.group.add(self.pid)

    @property
    def pid(self):
        """Its first process."""
        return self.process.pid

    def stop(self):
        """Ends it and everything below it."""
        below = measure.family(self.pid)
        self.process.terminate()
        if not measure.wait_for(lambda: self.process.poll() is not None, 3):
            self.process.kill()
        for pid in below[1:]:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        self.process.wait()


def is_listening(port):
    """Whether somebody listens on this port, without a connection to it."""
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/net/{name}") as file:
                rows = [line.split() for line in file]
        except OSError:
            continue
        if any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows[1:]):
            return True
    return False


def sshd(place, port):
    at = place.etc
    conf = place.write("sshd.conf", f"""Port {port}
ListenAddress {place.listen}
HostKey {at}/host_key
AuthorizedKeysFile {at}/authorized_keys
PidFile none
UsePAM no
PasswordAuthentication no
StrictModes no
MaxStartups 3000
MaxSessions 1000
UseDNS no
LogLevel ERROR
Subsystem sftp /usr/lib/openssh/sftp-server
""")
    hosts = "\n".join(f"Host {name}\n  HostName {host}" for name, host in (("near", place.host), ("far", "10.99.0.1")))
    place.write("ssh.conf", f"""{hosts}
Host *
  Port {port}
  User {place.user}
  IdentityFile {at}/id_key
  IdentitiesOnly yes
  BatchMode yes
  StrictHostKeyChecking no
  UserKnownHostsFile {place.home}/ssh_hosts
  LogLevel ERROR
""")
    return [program("sshd"), "-D", "-e", "-f", conf], place.isolated


def rsyncd(place, port):
    place.write("rsyncd.secrets", f"{place.user}:{place.password}\n", 0o600)
    who = f"uid = {place.user}\ngid = {place.user}\n" if place.isolated else ""
    conf = place.write("rsyncd.conf", f"""address = {place.listen}
port = {port}
use chroot = no
log file = {place.log}/rsyncd.log
{who}[w]
  path = {place.ram}
  read only = no
  auth users = {place.user}
  secrets file = {place.etc}/rsyncd.secrets
""")
    return [program("rsync"), "--daemon", "--no-detach", f"--config={conf}"], place.isolated


def nginx(tls):
    def entry(place, port):
        name = "nginx-tls" if tls else "nginx"
        where = place.folder(f"{place.ram}/{name}")
        secret = run("openssl", "passwd", "-apr1", place.password).strip()
        place.write("htpasswd", f"{place.user}:{secret}\n")
        # The cipher that ours uses too; the default takes longer.
        secure = f"""ssl_certificate {place.etc}/cert.pem; ssl_certificate_key {place.etc}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384;""" if tls else ""
        temps = " ".join(f"{kind}_temp_path {where}/{kind};" for kind in ("fastcgi", "proxy", "uwsgi", "scgi"))
        conf = place.write(f"{name}.conf", f"""worker_processes 2; daemon off; pid {where}/pid; error_log {place.log}/{name}.log error;
{f"user {place.user} {place.user};" if place.isolated else ""} worker_rlimit_nofile 20000;
events {{ worker_connections 8192; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_timeout 3600; keepalive_requests 1000000; client_max_body_size 0;
  client_body_temp_path {where}/body; {temps} default_type application/octet-stream;
  server {{
    listen {place.listen}:{port} {"ssl" if tls else ""}; root {place.ram};
    {secure}
    auth_basic bench; auth_basic_user_file {place.etc}/htpasswd;
    location / {{ dav_methods PUT DELETE MKCOL; create_full_put_path on; autoindex on; autoindex_format json; }}
  }}
}}
""")
        return [program("nginx"), "-c", conf, "-e", f"{place.log}/{name}.log"], place.isolated
    return entry


def vsftpd(tls):
    def entry(place, port):
        need_root(place, "vsftpd")
        secure = f"""ssl_enable=YES
rsa_cert_file={place.etc}/cert.pem
rsa_private_key_file={place.etc}/key.pem
force_local_logins_ssl=YES
force_local_data_ssl=YES
require_ssl_reuse=NO
ssl_ciphers=HIGH
""" if tls else ""
        conf = place.write(f"vsftpd{tls:d}.conf", f"""listen=YES
listen_address={place.listen}
listen_port={port}
background=NO
anonymous_enable=NO
local_enable=YES
write_enable=YES
local_umask=022
local_root={place.ram}
chroot_local_user=YES
allow_writeable_chroot=YES
pam_service_name=ferrybench
secure_chroot_dir=/run/vsftpd/empty
max_clients=5000
max_per_ip=5000
xferlog_enable=NO
idle_session_timeout=3600
use_sendfile=YES
{secure}""")
        return [program("vsftpd"), conf], True
    return entry


def pure_ftpd(place, port):
    need_root(place, "pure-ftpd")
    return [program("pure-ftpd"), "-S", f"{place.listen},{port}", "-4", "-A", "-E", "-l", "unix", "-H", "-c", "5000", "-C", "5000", "-I", "60",
            "-L", "1000000:10", "-g", "/run/pure-ftpd.pid", "-Y", "2", "-2", f"{place.etc}/both.pem"], True


def redis(place, port):
    return [program("redis-server"), "--bind", place.listen, "--port", str(port), "--save", "", "--appendonly", "no", "--maxclients", "9000",
            "--protected-mode", "no", "--dir", place.home], False


def pump(tls):
    def entry(place, port):
        keys = [f"{place.etc}/cert.pem", f"{place.etc}/key.pem"] if tls else []
        return [measure.interpreter(), f"{place.bin}/pump.py", "serve", place.listen, str(port), place.ram, *keys], False
    return entry


def need_root(place, name):
    """FTP servers take on the user who logs in, and look for his password in the system's files."""
    if not place.isolated:
        raise Missing(f"{name} needs root")


SERVERS = {"sshd": sshd, "rsyncd": rsyncd, "nginx": nginx(False), "nginx-tls": nginx(True), "vsftpd": vsftpd(False), "vsftpd-tls": vsftpd(True),
           "pure-ftpd-tls": pure_ftpd, "redis": redis, "limit": pump(False), "limit-tls": pump(True)}


def start(place, name):
    """Starts the server of this name on a free port."""
    port = place.free_port()
    argv, root = SERVERS[name](place, port)
    return Server(place, name, port, argv, root)
