"""Python: releases out of an index of wheels, one of each package, its newest there.

Left out: licences with copyleft, packages that hold benchmarks or their tasks, clients and stubs
that a program wrote, tables in the clothes of code, second copies of a package under another name.
"""

# Data structures, algorithms, symbolic and exact computation, parsers: small functions.
ALGORITHMS = """
aenum==3.1.17 anytree==2.13.0 array-api-compat==1.15.0 asteval==1.0.10 autograd==1.9.1
automat==25.4.16 automata-lib==9.2.0 bitarray==3.11.0 bm25s==0.3.11 boltons==26.2.0
bottleneck==1.6.0 cachebox==5.2.3 cachelib==0.17.0 cachetools==7.2.0 chardet==7.6.0
charset-normalizer==3.5.2 cma==4.5.0 croniter==6.2.4 cvxpy==1.9.3 dateparser==1.4.3
deepdiff==9.1.0 dill==0.4.1 diskcache==5.6.3 ecdsa==0.19.2 einops==0.8.2 einx==0.4.3 emcee==3.1.6
flexparser==0.4 ftfy==6.3.1 galois==0.4.11 gast==0.7.0 graphql-core==3.2.13 highspy==1.15.1
humanize==4.16.0 jmespath==1.1.0 jplephem==2.24 jsonpath-ng==1.8.0 lark==1.3.1 ldpc==2.4.1
linopy==0.9.1 more-itertools==11.1.0 mpmath==1.4.1 msgspec==0.22.0 natsort==8.4.0 ndindex==1.10.1
networkit==11.2.2 networkx==3.6.1 nltk==3.10.3 numexpr==2.14.2 opt-einsum==3.4.0 optree==0.20.0
ortools==9.15.6755 osqp==1.1.3 parso==0.8.7 patsy==1.0.3 pendulum==3.2.0 pint==0.25.3 ply==3.11
prettytable==3.18.0 pulp==3.3.2 pyamg==5.3.0 pycparser==3.0 pycryptodome==3.23.0 pymatching==2.4.0
pymoo==0.6.2 pyparsing==3.3.3 pypdf==6.19.0 pyscipopt==6.2.1 python-dateutil==2.9.0.post0
python-sat==1.9.dev15 rapidfuzz==3.14.6 reedsolo==1.7.0 regex==2026.9.29 rsa==4.9.1
rustworkx==0.18.1 scikit-fem==12.0.2 sgp4==2.27 simplejson==4.1.2 skyfield==1.55
sortedcontainers==2.4.0 sqlparse==0.6.0 stim==1.16.0 sympy==1.14.0 tabulate==0.10.0 toolz==1.1.0
uncertainties==3.2.3 wcwidth==0.9.1
"""

# Numbers, tables, images, physics, plots: documented functions with formulas behind them.
SCIENCE = """
altair==6.3.0 arch==8.0.0 arviz==0.23.4 astropy==8.0.1 biopython==1.88 bokeh==3.9.2 cantera==3.2.0
cartopy==0.26.0 cocotb==2.1.0 cocotb-bus==0.3.0 cocotbext-axi==0.1.28 contourpy==1.3.3
control==0.10.2 dash==4.4.1 dask==2026.8.0 ezdxf==1.4.4 fastavro==1.12.2 fastparquet==2026.9.0
fiona==1.10.1 fluids==1.3.1 formulaic==1.2.2 geopandas==1.2.0 glfw==2.10.2 h5netcdf==1.8.1
h5py==3.16.0 imagecodecs==2026.3.6 imageio==2.38.0 librosa==0.11.0 lightgbm==4.7.0
llvmlite==0.50.0 matplotlib==3.11.2 matpowercaseframes==2.1.1 meshio==5.3.5 mido==1.3.3
mir-eval==0.8.2 mpi4py==4.1.2 mujoco==3.14.0 music21==10.5.0 narwhals==2.26.0 netcdf4==1.7.4
nibabel==5.4.2 numba==0.68.0 numcodecs==0.16.5 numpy==2.4.6 openpyxl==3.1.5 pandapower==3.5.4
pandas==3.0.6 pandera==0.33.1 pdfminer-six==20260107 pdfplumber==0.11.10 pillow==12.3.0
plotly==7.1.0 polars==1.44.2 pot==0.9.7.post1 pyarrow==25.0.1 pybullet==3.2.7 pydicom==3.0.2
pydub==0.25.1 pyevtk==1.7.0 pyogrio==0.13.0 pypdfium2==5.13.0 pyproj==3.7.2 pypsa==1.3.0
pysam==0.24.1 pyscf==2.14.0 pyshp==3.1.6 python-docx==1.2.0 pytorch-metric-learning==2.9.0
pywavelets==1.9.0 qutip==5.3.1 rdata==1.1.0 rdflib==7.6.0 reportlab==5.0.1
robot-descriptions==2.0.0 scikit-image==0.26.0 scikit-learn==1.9.1 scikit-rf==2.1.0 scipy==1.17.1
seaborn==0.13.2 shap==0.51.0 shapely==2.1.2 sounddevice==0.5.6 soundfile==0.14.0
statsmodels==0.15.0 streamlit==1.64.0 tables==3.11.1 thermo==0.6.1 tifffile==2026.3.3
trimesh==5.1.0 unicorn==2.1.4 xarray==2026.9.0 xarray-einstats==0.9.1
xlsxwriter==3.2.9
"""

# Machine learning: large, uneven, much alike; the largest are read in part (see TAKE).
LEARNING = """
accelerate==1.15.0 blobfile==3.3.0 confection==1.3.3 datasets==5.0.1 etils==1.14.0 fla-core==0.5.2
flax==0.12.8 gguf==0.19.0 gymnasium==1.3.0 huggingface-hub==2.0.0 jax==0.10.2 jaxtyping==0.3.11
kagglehub==1.0.2 keras==3.15.1 langchain==1.4.2 langchain-community==0.4.2 langchain-core==1.6.5
langchain-google-genai==4.4.0 langchain-huggingface==1.2.2 langchain-openai==1.6.6
langchain-text-splitters==1.1.2 langgraph==1.2.12 langgraph-checkpoint==4.2.0
langgraph-prebuilt==1.1.0 langgraph-sdk==0.4.5 lightning==2.6.6 lightning-utilities==0.15.3
mistral-common==1.12.0 ml-collections==1.1.0 omegaconf==2.3.1 onnx==1.23.1 onnx-ir==1.0.0
onnxscript==0.7.2 open-clip-torch==3.3.0 optax==0.2.8 optuna==5.0.0 orbax-checkpoint==0.12.4
peft==0.21.0 pettingzoo==1.27.0 ray==2.58.0 sacrebleu==2.6.0 sentence-transformers==6.0.1
spacy==3.8.16 spacy-legacy==3.0.12 srsly==2.5.4 tensorboard==2.21.0 tensorboardx==2.6.5
tensorflow-cpu==2.21.0 tensorstore==0.1.85 thinc==8.3.13 timm==1.0.29 torch==2.14.1
torch-geometric==2.8.0.post1 torchdata==0.11.0 torchmetrics==1.9.0 torchvision==0.29.1
transformers==5.18.0 treescope==0.1.10 triton==3.8.0 trl==1.13.0 wandb==0.30.0 wasabi==1.1.3
weasel==1.0.0
"""

# Servers, clients, protocols, formats, databases.
WEB = """
aiohttp==3.14.3 aiomysql==0.3.2 alembic==1.20.0 amqp==5.4.0 anyio==4.15.1 apscheduler==3.11.3
asgiref==3.12.1 asn1crypto==1.5.1 asyncpg==0.31.0 attrs==26.1.0 authlib==1.8.0 babel==2.18.0
beautifulsoup4==4.15.0 billiard==4.3.0 bleach==6.4.0 boto3==1.43.107 botocore==1.43.107
cattrs==26.2.1 celery==5.6.3 cloudpathlib==0.25.0 cryptography==50.0.2 curl-cffi==0.16.3
django==5.2.17 dnspython==2.8.0 docker==7.2.0 duckdb==1.5.6 email-validator==2.3.0
eth-utils==6.0.0 fastapi==0.142.2 fastmcp-slim==4.0.10 feedparser==6.0.14 flask==3.1.3
flask-jwt-extended==4.7.4 flask-restful==0.3.10 flask-sqlalchemy==3.1.1 fsspec==2026.9.0
google-api-core==2.40.0 google-api-python-client==2.201.0 google-auth==2.59.1 grpcio==1.84.0
gspread==6.1.4 gunicorn==26.2.0 h11==0.16.0 h2==4.4.1 hpack==4.2.0 html5lib==1.1 httpcore==1.0.9
httplib2==0.22.0 httpx==0.28.1 hyperlink==21.0.0 jinja2==3.1.6 joserfc==1.7.5 jsonschema==4.25.1
jupyter-client==8.10.0 jupyter-core==5.9.1 jupyter-lsp==2.3.1 jupyter-server==2.21.1
jupyterlab==4.6.4 jupyterlab-server==2.28.1 kombu==5.6.2 loguru==0.7.3 lxml==6.1.3 mako==1.4.3
markdown==3.11 markdown-it-py==4.2.0 marshmallow==4.3.1 mcp==2.3.0 mdit-py-plugins==0.6.1
mistune==3.3.4 nats-py==2.15.0 nbclient==0.11.0 nbconvert==7.17.1 nbformat==5.11.1
oauth2client==4.1.3 oauthlib==4.0.0 openapi-pydantic==0.5.1 opentelemetry-api==1.45.0
opentelemetry-sdk==1.45.0 paho-mqtt==2.1.0 passlib==1.7.4 peewee==4.5.1 pg8000==1.31.5
postgrest==2.31.0 prometheus-client==0.26.0 proto-plus==1.29.0 protobuf==7.36.2
py-key-value-aio==0.4.6 pyasn1==0.6.4 pydantic==2.13.5 pydantic-core==2.49.0
pydantic-settings==2.15.0 pyjwt==2.15.1 pymodbus==3.15.0 pymongo==4.18.2 pymysql==1.2.3
pynacl==1.6.2 pyopenssl==26.4.0 pyrate-limiter==4.5.0 python-multipart==0.0.32 realtime==2.31.0
redis==8.1.0 referencing==0.37.0 requests==2.34.2 requests-toolbelt==1.0.0 responses==0.26.3
respx==0.23.1 rfc3986==2.0.0 s3transfer==0.19.2 selenium==4.50.0 smart-open==8.0.2 soupsieve==2.10
sqlalchemy==2.1.1 sqlmodel==0.0.47 starlette==1.7.0 storage3==2.31.0 supabase-auth==2.31.0
tinycss2==1.5.1 tornado==6.5.10 trio==0.34.0 trio-websocket==0.12.2 twisted==26.4.0
universal-pathlib==0.3.10 urllib3==2.8.0 uvicorn==0.54.0 validators==0.35.0
websocket-client==1.9.2 websockets==17.1 werkzeug==3.1.9 wsproto==1.3.2 wtforms==3.2.2
xmlschema==4.3.2 yarl==1.25.1 yfinance==1.7.0 zope-interface==8.6
"""

# Tools of developers: command lines, tests, builds, text in terminals.
TOOLS = """
absl-py==2.5.0 argcomplete==3.7.2 arrow==1.4.0 beartype==0.22.9 black==26.5.1 build==1.6.1
cffi==2.1.1 click==8.5.0 configargparse==1.8.0 coverage==7.16.2 cuda-pathfinder==1.8.3
cyclopts==5.1.0 cython==3.3.0 debugpy==1.8.22 distlib==0.4.3 docstring-parser==0.18.0
execnet==2.1.2 executing==2.2.1 filelock==4.0.8 filetype==1.2.0 flake8==7.4.1
flatbuffers==25.12.19 flit-core==4.1.0 fonttools==4.66.1 gitdb==4.0.12 gitpython==3.2.0
google-pasta==0.2.0 graphviz==0.21 greenlet==3.5.6 griffelib==2.3.0 hatchling==1.32.4
humanfriendly==10.0 hypothesis==6.168.3 incremental==24.11.0 invoke==3.0.3 ipykernel==7.4.0
ipython==9.17.1 ipywidgets==8.1.9 isort==9.0.2 jedi==0.20.0 jeepney==0.9.0 joblib==1.6.0
jsonpickle==4.1.2 jupyter-builder==1.2.3 keyring==25.7.0 meson==1.12.1 meson-python==0.22.0
multiprocess==0.70.19 mypy==2.4.0 nodeenv==1.11.0 nox==2026.8.17 olefile==0.47 packaging==26.3
pathos==0.3.5 pathspec==1.1.1 pexpect==4.9.0 platformdirs==4.12.2 poetry-core==2.5.0 pooch==1.9.0
portalocker==4.4.0 pox==0.3.7 ppft==1.7.8 pre-commit==4.6.2 progressbar2==4.6.0
prompt-toolkit==3.0.53 psutil==7.2.2 py==1.11.0 py-cpuinfo==9.0.0 pycodestyle==2.15.0 pydot==4.0.1
pyflakes==4.0.0 pygments==2.21.0 pyserial==3.5 pytest==9.1.1 pytest-benchmark==5.3.0
pytest-xdist==3.8.0 python-discovery==1.6.1 python-utils==4.0.1 pyyaml==6.0.3 pyzmq==27.2.0
resiliparse==1.0.9 rich==15.0.0 rich-rst==2.2.0 ruamel-yaml==0.19.1 scikit-build-core==1.1.0
setuptools==84.0.0 setuptools-rust==1.13.0 setuptools-scm==10.3.4 smmap==5.0.3 sphinx==9.0.4
stevedore==5.9.1 structlog==26.1.0 tenacity==9.1.4 threadpoolctl==3.7.0 time-machine==3.5.1
tomlkit==0.15.1 tox==4.64.4 tqdm==4.70.1 traitlets==5.16.1 typeguard==4.6.0 typer==0.27.2
typing-extensions==4.16.0 vcs-versioning==2.5.0 virtualenv==21.14.1 wasmtime==49.0.0
watchdog==6.0.0 wheel==0.48.0 wrapt==2.5.0 zstandard==0.25.0
"""

# Of packages that would outweigh all others: the parts that read well alone.
TAKE: dict[str, tuple[str, ...]] = {
    "mypy": (
        "mypy/*.py",
        "mypyc/*.py",
    ),
    "pyscf": (
        "pyscf/cc",
        "pyscf/adc",
        "pyscf/dft",
        "pyscf/scf",
        "pyscf/grad",
        "pyscf/mcscf",
        "pyscf/gw",
        "pyscf/fci",
        "pyscf/solvent",
        "pyscf/mcpdft",
        "pyscf/df",
        "pyscf/mp",
        "pyscf/tdscf",
        "pyscf/lib",
        "pyscf/hessian",
        "pyscf/agf2",
        "pyscf/ao2mo",
        "pyscf/symm",
        "pyscf/ci",
        "pyscf/lo",
        "pyscf/tools",
        "pyscf/pbc",
    ),
    "ray": (
        "ray/data",
        "ray/serve",
        "ray/tune",
        "ray/util",
        "ray/air",
        "ray/dag",
    ),
    "tensorflow-cpu": (
        "tensorflow/python/data",
        "tensorflow/python/distribute",
        "tensorflow/python/eager",
        "tensorflow/python/framework",
        "tensorflow/python/autograph",
        "tensorflow/python/util",
        "tensorflow/python/training",
        "tensorflow/python/trackable",
        "tensorflow/python/checkpoint",
        "tensorflow/python/saved_model",
        "tensorflow/python/module",
        "tensorflow/python/feature_column",
        "tensorflow/python/debug",
        "tensorflow/python/ops/ragged",
        "tensorflow/python/ops/distributions",
        "tensorflow/python/ops/linalg",
        "tensorflow/python/ops/numpy_ops",
        "tensorflow/python/ops/parallel_for",
        "tensorflow/python/ops/structured",
        "tensorflow/python/ops/signal",
        "tensorflow/python/ops/math_ops.py",
        "tensorflow/python/ops/array_ops.py",
        "tensorflow/python/ops/nn_ops.py",
        "tensorflow/python/ops/control_flow*.py",
    ),
    "torch": (
        "torch/nn",
        "torch/optim",
        "torch/distributions",
        "torch/utils",
        "torch/fx",
        "torch/autograd",
        "torch/linalg",
        "torch/masked",
        "torch/nested",
        "torch/_decomp",
        "torch/_refs",
        "torch/_numpy",
        "torch/package",
        "torch/profiler",
    ),
    "transformers": (
        "transformers/generation",
        "transformers/utils",
        "transformers/pipelines",
        "transformers/integrations",
        "transformers/quantizers",
        "transformers/data",
        "transformers/loss",
        "transformers/cli",
        "transformers/trainer*.py",
        "transformers/tokenization*.py",
        "transformers/modeling_utils.py",
        "transformers/modeling_outputs.py",
        "transformers/cache_utils.py",
        "transformers/masking_utils.py",
        "transformers/processing_utils.py",
        "transformers/audio_utils.py",
        "transformers/image_*.py",
        "transformers/configuration_utils.py",
        "transformers/models/auto",
        "transformers/models/bert",
        "transformers/models/gpt2",
        "transformers/models/llama",
        "transformers/models/t5",
        "transformers/models/clip",
        "transformers/models/whisper",
        "transformers/models/vit",
        "transformers/models/wav2vec2",
        "transformers/models/mamba",
        "transformers/models/detr",
        "transformers/models/mixtral",
    ),
}
