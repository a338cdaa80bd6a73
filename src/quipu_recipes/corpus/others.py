"""Other languages than Python: source packages of Debian and npm packages with their sources.

One entry a line: NAME==VERSION, then folders or globs when only these are read. Versions of Debian
are those of bookworm; a point release may withdraw one, which a build then lists as missing.

Every entry was fetched, and what its licences leave of it was counted, file by file where
debian/copyright says so. Left out for their licences: junit5 (EPL), openmpi, mpich, tor, tiff,
krb5, zsh, bedtools, flac, pgpool2, p5. Left out because npm has them compiled only: vuetify,
mermaid, typeorm, echarts.
"""

# C and C++, read as one language. Large ones in part: where libraries are small and documented.
CPP = """
abseil==20220623.1-1+deb12u2
aom==3.6.0-1+deb12u2 test tools av1/common av1/encoder aom
atf==0.21-6
boost1.81==1.81.0-5+deb12u1 libs/algorithm libs/align libs/any libs/array libs/asio libs/beast
    libs/bimap libs/container libs/container_hash libs/date_time libs/filesystem libs/graph
    libs/hana libs/heap libs/icl libs/integer libs/intrusive libs/iostreams libs/json
    libs/lexical_cast libs/lockfree libs/math libs/multi_index libs/multiprecision libs/optional
    libs/polygon libs/pool libs/program_options libs/random libs/range libs/rational libs/regex
    libs/smart_ptr libs/sort libs/tokenizer libs/unordered libs/url libs/utility libs/uuid
    libs/variant2 tools *.sh
box2d==2.4.1-3
bullet==3.24+dfsg-2
byacc==1:2.0.20221106-1
capnproto==0.9.2-2
capstone==4.0.2-5
catch2==2.13.10-1
curl==7.88.1-10+deb12u15
dash==0.5.12-2
dpdk==22.11.11-0+deb12u1 app examples devtools buildtools usertools lib/hash lib/lpm lib/ring
    lib/eal lib/acl lib/mbuf lib/mempool doc
eigen3==3.4.0-4
fmtlib==9.1.0+ds1-2
fossil==1:2.21-1+deb12u1
glfw3==3.3.8-1
googletest==1.12.1-0.2
hdf5==1.10.8+repack1-1 src bin doc *.sh.in *.sh
highway==1.0.3-3+deb12u1
imgui==1.86+ds-1
jemalloc==5.3.0-1
jq==1.6-2.1+deb12u2
ldns==1.8.3-1
leveldb==1.23-4
libarchive==3.6.2-1+deb12u4
libevent==2.1.12-stable-8
libjsoncpp==1.9.5-4
libsecp256k1==0.2.0-2
libunwind==1.6.2-3
libuv1==1.44.2-1+deb12u1
libvpx==1.12.0-1+deb12u5 vp9 test tools build *.sh
libzstd==1.5.4+dfsg2-5
lua5.4==5.4.4-3+deb12u1
lz4==1.9.4-1
mbedtls==2.28.3-1
mksh==59c-28+deb12u1
ncbi-blast+==2.12.0+ds-3 c++/src/corelib c++/include/corelib c++/src/util c++/include/util
    c++/src/build-system c++/scripts *.sh
netcdf==1:4.9.0-3
nghttp2==1.52.0-1+deb12u3
nginx==1.22.1-9+deb12u9
nlohmann-json3==3.11.2-2
onetbb==2021.8.0-2+deb12u1
openjpeg2==2.5.0-2+deb12u3
openntpd==1:6.2p3-4.2
opensmtpd==6.8.0p2-4
openssh==1:9.2p1-2+deb12u10
pcre2==10.42-1
pkgconf==1.8.1-1
poco==1.11.0-3+deb12u1
postgresql-15==15.18-0+deb12u1 src/backend/access src/backend/utils src/bin src/common src/port
    src/interfaces contrib doc src/tools
proj==9.1.1-1
pugixml==1.13-0.2
re2==20220601+dfsg-1
redis==5:7.0.15-1~deb12u7
rocksdb==7.8.3-2
simdjson==3.0.1-1
spdlog==1:1.10.0+ds-0.4
sqlite3==3.40.1-2+deb12u2 src ext tool test/*.c *.sh autoconf
sudo==1.9.13p3-1+deb12u4
tinyxml2==9.0.0+dfsg-3.1
tmux==3.3a-3
trafficserver==9.2.5+ds-0+deb12u4 src include tools tests
unbound==1.17.1-2+deb12u4
xz-utils==5.4.1-1+deb12u1
yaml-cpp==0.7.0+dfsg-8
"""

# Packages with much shell in their builds and tests; what else they hold comes along.
SHELL = """
android-platform-art==11.0.0+r48-5 *.sh tools test build tests
apache2==2.4.68-1~deb12u1 server modules/filters modules/proxy support build docs *.sh
bind9==1:9.18.49-1~deb12u1
cloud-init==22.4.2-1+deb12u4
containerd==1.6.20~ds1-1+deb12u3
crowdsec==1.4.6-6~deb12u1
cups==2.4.2-3+deb12u9
debootstrap==1.0.128+nmu2+deb12u2
docker.io==20.10.24+dfsg1-1+deb12u1
etcd==3.4.23-4
fzf==0.38.0-1
git-lfs==3.3.0-1+deb12u1
golang-github-containers-buildah==1.28.2+ds1-3+deb12u1
graphicsmagick==1.4+really1.3.40-4+deb12u1 magick scripts tests *.sh *.tap
isc-dhcp==4.4.3-P1-2
kubernetes==1.20.5+really1.20.2-1.1+deb12u1
libpod==4.3.1+ds1-8+deb12u1
lxd==5.0.2-5+deb12u6
netpbm-free==2:11.01.00-2 *.sh test buildtools
ntpsec==1.2.2+dfsg1-1+deb12u1
openldap==2.5.13+dfsg-5 tests/scripts tests/data tests/*.sh
runc==1.1.5+ds1-1+deb12u1
skopeo==1.9.3+ds1-1
subversion==1.14.2-4+deb12u1 subversion/libsvn_subr subversion/libsvn_fs_fs
    subversion/libsvn_repos subversion/libsvn_delta tools build notes *.sh
"""

# Java.
JAVA = """
ant==1.10.13-1
antlr4==4.7.2-5
apache-log4j2==2.19.0-2
bazel-bootstrap==4.2.3+ds-9
bouncycastle==1.72-2
commons-io==2.11.0-2
error-prone-java==2.18.0-1
guava-libraries==31.1-1
jackson-core==2.14.1-2~deb12u1
jackson-databind==2.14.0-1+deb12u1
jetty9==9.4.57-1.1~deb12u1
jsoup==1.15.3-1
libcommons-codec-java==1.15-1
libcommons-collections4-java==4.2-1
libcommons-lang3-java==3.12.0-2+deb12u1
libspring-java==4.3.30-2
maven==3.8.7-1
mockito==2.23.0-2
netty==1:4.1.48-7+deb12u2
picocli==4.6.2-2
tomcat10==10.1.55-1~deb12u1
zookeeper==3.8.0-11+deb12u2
zxing==3.4.1+ds-1
"""

# PHP.
PHP = """
composer==2.5.5-1+deb12u5
doctrine==2.14.1+dfsg-1
php-codesniffer==3.7.1-2
php-laravel-framework==8.83.26+dfsg-2
php-league-commonmark==2.3.9-1+deb12u1
php-masterminds-html5==2.7.6+dfsg-1
php-monolog==2.9.1-1
php-nesbot-carbon==2.65.0-1+deb12u1 src/Carbon/*.php tests/Carbon* docs readme.md
php-parser==4.15.4-1
php-ramsey-uuid==4.6.0-1
php-twig==3.5.1-1+deb12u3
phpunit==9.6.7-1+deb12u1
symfony==5.4.53+dfsg-0+deb12u1
"""

# TypeScript and JavaScript with the sources that Debian keeps.
SCRIPT = """
jquery==3.3.1~dfsg-3
node-typescript==4.8.4+ds1-2 src scripts tests/cases/conformance tests/cases/compiler README.md
node-webpack==5.75.0+dfsg+~cs17.16.14-1+deb12u1
nodejs==18.20.4+dfsg-1~deb12u2 lib test benchmark tools doc README.md CHANGELOG.md
"""

# C#: the class libraries of .NET and Mono, and bindings of others.
CSHARP = """
dbus-sharp==0.8.1-2.1
flatbuffers==2.0.8+dfsg1-2
grpc==1.51.1-3 src/csharp src/php src/ruby src/python src/core/lib include test tools examples
    *.sh *.md
libgdiplus==6.1+dfsg-1
mono==6.8.0.105+dfsg-3.3+deb12u1 external/corefx/src/System.Collections*
    external/corefx/src/System.Linq* external/corefx/src/System.Text*
    external/corefx/src/System.Threading* external/corefx/src/System.Net*
    external/corefx/src/System.IO* external/corefx/src/System.Numerics*
    external/corefx/src/System.Reflection.Metadata
    external/corefx/src/System.Security.Cryptography* external/corefx/src/System.Data.Common
    external/corefx/src/System.ComponentModel* external/corefx/src/System.Configuration*
    external/corefx/src/System.Runtime* external/corefx/src/System.Memory
    external/corefx/src/Common external/corefx/src/Microsoft.CSharp external/rx/Rx external/rx/Ix
    external/cecil external/linker external/Newtonsoft.Json/Src external/nunit-lite
    external/aspnetwebstack/src mcs/mcs mcs/tools mcs/class/corlib mcs/class/System
    mcs/class/System.Core mcs/class/System.XML mcs/class/Mono.C5 mcs/class/Mono.Security
    mcs/class/Mono.Posix mcs/class/Mono.Options mcs/class/System.Drawing
    mcs/class/Novell.Directory.Ldap mcs/class/System.Json mcs/class/referencesource/mscorlib
    mcs/class/referencesource/System.Core *.sh
protobuf==3.21.12-3+deb12u1
thrift==0.17.0-2
z3==4.8.12-3.1 src/util src/ast src/sat src/math src/api examples scripts
"""

# The standard library of CPython.
STANDARD_LIBRARY = """
python3.11==3.11.2-6+deb12u8 Lib Tools Doc
"""

# Packages of npm: their TypeScript, or JavaScript as it was written.
NPM = """
@antv/g6==5.1.1 src
@antv/layout==2.0.1 src
@antv/x6==3.1.8 src
@deck.gl/core==9.4.0 src
@loaders.gl/core==4.5.4 src
@luma.gl/core==9.4.2 src
@noble/curves==2.4.0 src
@tanstack/query-core==5.108.0 src
@tanstack/virtual-core==3.19.11 src
@trpc/server==11.25.2 src
@xterm/xterm==6.0.0 src
apollo-server-core==3.13.0 src
bats==1.13.0
chevrotain==11.2.0 src
cytoscape==3.34.4 src
effect==4.1.0 src
ethers==6.17.0 src.ts
fabric==7.4.0 src
hls.js==1.7.4 src
immer==11.2.10 src
lodash-es==4.18.1
maplibre-gl==6.17.0 src
mathjs==15.2.0 lib/esm
matter-js==0.20.0 src
mobx==7.1.3 src
n==10.2.0
ol==10.11.0 *.js
phaser==4.2.1 src
preact==11.2.0 src hooks/src compat/src
prosemirror-model==1.25.13 src
prosemirror-transform==1.12.6 src
prosemirror-view==1.42.9 src
puppeteer-core==24.43.1 src
quasar==2.27.0 src
ramda==0.32.0 src
rxjs==7.8.2 src
shaka-player==5.2.12 lib ui
three==0.187.0 src examples/jsm
vega-lite==6.4.3 src
viem==2.57.20 actions chains utils zksync op-stack account-abstraction clients types tempo
    experimental errors accounts celo
yjs==13.6.33 src
zod==4.6.7 src
zrender==6.1.0 src
"""

# Wheels that bring shell along: elements of disk images, hooks, tools.
SHELL_OF_PYPI = """
charmhelpers==1.2.1
diskimage-builder==3.43.0
kolla==23.0.0
octavia==19.0.0
sahara-image-elements==19.0.0
tripleo-common==18.0.0
tripleo-image-elements==15.0.0
"""
