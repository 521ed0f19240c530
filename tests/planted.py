"""Violations to plant into an honest notebook, and honest code that only looks like some.

Each row of code becomes cell 5 of a notebook whose cells before it import, set parameters and read
the contest. A planted one must be found there, by its rule; of an honest one nothing is "broken".
"""

from __future__ import annotations

import json

IMPORTS = """\
import os, random
from pathlib import Path
import numpy as np
import pandas as pd
import torch
import medkit as mk
"""
PARAMETERS = 'TASK, DATA, RUNS = "caries", "dataset", "runs"\nSEED = 0\n'
READING = """\
task = mk.get_task(TASK)
cases = mk.assign_folds(task, task.read(DATA, "train"), seed=SEED)
"""
HF = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz012345"
GIT = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
AWS = "AKIA" + "ABCDEFGHIJKLMNOP"

CODE = [  # (rule, code)
    ("seeds", "x = np.random.rand(3)"),
    ("seeds", "rng = np.random.default_rng()"),
    ("seeds", "rng = np.random.RandomState()"),
    ("seeds", "random.shuffle([1, 2])"),
    ("seeds", "w = torch.randn(3)"),
    ("seeds", "from numpy.random import permutation as p\np(5)"),
    ("seeds", "random.seed()\n"),
    ("seeds", "import time\nnp.random.seed(int(time.time()))"),
    ("seeds", "torch.seed()"),
    ("seeds", "from sklearn.model_selection import train_test_split as tts\na, b = tts(cases)"),
    ("seeds", "from sklearn.ensemble import RandomForestClassifier\nm = RandomForestClassifier(9)"),
    ("seeds", "some = cases.sample(frac=0.5)"),
    ("seeds", "from torch.utils.data import DataLoader\nl = DataLoader(cases, shuffle=True)"),
    ("seeds", "layer = torch.nn.Linear(3, 2)"),
    ("seeds", "x = np.random.rand(3)\nmk.seed_everything(SEED)"),
    ("seeds", "import time\nc = mk.Config(TASK, seed=int(time.time()))"),
    ("seeds", "def draw():\n    return np.random.normal()\n\ny = draw()"),
    ("seeds", "config = mk.Config(TASK, seed=99)\n"),
    ("seeds", "from sklearn.model_selection import KFold\nk = KFold(5, shuffle=True)"),
    ("files", 'pd.read_csv("/home/kim/labels.csv")'),
    ("files", 'open("../../secret/answers.csv")'),
    ("files", 'np.load(os.path.join("/srv", "hidden", "test.npy"))'),
    ("files", 'Path.home().joinpath("answers.csv").read_text()'),
    (
        "files",
        'p = Path("/")\nfor part in ("mnt", "nas"):\n    p = p / part\nlist(p.glob("*.png"))',
    ),
    ("files", "import cv2\ncv2.imread(f'/mnt/{TASK}/1.png')"),
    ("files", 'torch.load("/opt/weights.pt")'),
    ("files", 'os.listdir(os.path.expanduser("~/other"))'),
    ("files", 'def read(path):\n    return open(path).read()\n\nread("/srv/answers.txt")'),
    ("files", 'from PIL import Image as I\nI.open("/media/usb/1.png")'),
    ("files", 'mk.get_task(TASK).read("/srv/other_dataset", "train")'),
    ("files", "!cat /srv/answers.csv"),
    ("files", 'import sys\nsys.path.append("/srv/lib")'),
    ("files", 'import shutil\nshutil.copy("/srv/labels.csv", "labels.csv")'),
    ("files", "%run /srv/train.py"),
    ("files", 'mk.Config(TASK, weights="/opt/resnet.safetensors")'),
    ("network", 'import requests as r\nr.get("https://example.org")'),
    ("network", 'from urllib.request import urlopen as u\nu("https://example.org")'),
    ("network", 'net = __import__("sock" + "et")\nnet.create_connection(("example.org", 80))'),
    (
        "network",
        'import importlib\nh = importlib.import_module("http" "x")\nh.post("https://x.org")',
    ),
    ("network", 'import socket\ns = socket.socket()\ns.connect(("example.org", 80))'),
    ("network", "!wget https://example.org/w.pt"),
    ("network", "!pip install timm"),
    ("network", "%pip install lightgbm"),
    ("network", "!git clone https://github.com/a/b"),
    ("network", "%%bash\nls\ncurl -O https://example.org/w.pt"),
    ("network", 'import timm\nm = timm.create_model("resnet18", pretrained=True)'),
    ("network", 'torch.hub.load("pytorch/vision", "resnet18")'),
    ("network", 'pd.read_csv("https://example.org/labels.csv")'),
    ("network", 'os.system("curl example.org")'),
    ("network", 'import subprocess as s\ns.run(["wget", "example.org/x"])'),
    ("network", "from huggingface_hub import hf_hub_download\nhf_hub_download('a/b', 'c')"),
    ("network", "import gdown\ngdown.download(id='1')"),
    ("network", "import ftplib\nf = ftplib.FTP('example.org')"),
    ("network", 'g = getattr(__import__("requests"), "ge" + "t")\ng("https://example.org")'),
    ("network", "exec(\"import requests\\nrequests.get('https://example.org')\")"),
    ("network", "import torchvision\nm = torchvision.models.resnet18(weights='DEFAULT')"),
    ("network", "import segmentation_models_pytorch as smp\nm = smp.Unet('resnet18')"),
    ("secrets", 'password = "hunter2!"'),
    ("secrets", 'url = "https://board.org/submit?team=7&password=hunter2"'),
    ("secrets", f'login = "{HF}"'),
    ("secrets", f'headers = {{"Authorization": "Bearer {GIT}"}}'),
    ("secrets", f'key = "{AWS}"'),
    ("secrets", 'u = "https://kim:hunter2@board.org/"'),
    ("secrets", "%env API_TOKEN=abcd1234abcd1234x"),
    ("secrets", 'os.environ["BOARD_PASSWORD"] = "hunter2!"'),
    ("secrets", 'login("kim@uni.ac.kr", "Hunter2!")'),
    ("secrets", "x = 1  # password: hunter2!"),
    ("secrets", "# 비밀번호: hunter2!\nx = 1"),
    ("secrets", 'settings = {"team": "a", "apiKey": "93jd82kd92"}'),
    ("secrets", 'send(passwd="hun" + "ter2!")'),
    ("secrets", 'pem = """-----BEGIN RSA PRIVATE KEY-----\nMIIE"""'),
    ("absolute paths", 'folder = "/home/kim/contest"'),
    ("absolute paths", r'folder = "C:\\Users\\kim\\contest"'),
    ("absolute paths", 'out = Path("/data2/runs") / "a"'),
    ("absolute paths", 'out = "~/contest/runs"'),
    ("absolute paths", 'out = f"/mnt/{TASK}/runs"'),
    ("test labels", 'mk.fit(mk.Config(TASK), task.read(DATA, "test"), "runs/x")'),
    (
        "test labels",
        'test = task.read(DATA, "te" + "st")\nboth = pd.concat([cases, test])\n'
        "mk.assign_folds(task, both)",
    ),
    (
        "test labels",
        "every = []\nfor split in ('train', 'test'):\n    every.append(task.read(DATA, split))\n"
        'mk.fit(mk.Config(TASK), pd.concat(every), "runs/x")',
    ),
    (
        "test labels",
        'test = task.read(DATA, "test")\nrun = mk.Run("runs/x")\n'
        "mk.choose_threshold(task, test, mk.predict(run, test))",
    ),
    (
        "test labels",
        "from sklearn.linear_model import LogisticRegression\n"
        'y = pd.read_csv("dataset/test/labels.csv")["y"]\nLogisticRegression().fit(y, y)',
    ),
]

SLY = [  # thought of after the rules were written, to get around them
    ("network", "import sys, requests\nsys.modules['requests'].post('https://example.org')"),
    ("files", "import builtins as b\nb.open('/srv/x')"),
    ("files", "(lambda p: open(p))('/srv/x')"),
    ("files", "for f in (open,):\n    f('/srv/' + 'x')"),
    (
        "network",
        "import base64, urllib.request as q\n"
        "q.urlopen(base64.b64decode('aHR0cHM6Ly9leGFtcGxlLm9yZw==').decode())",
    ),
    ("secrets", "password = '!2retnuh'[::-1]"),
    ("secrets", "pw = bytes.fromhex('68756e7465723221').decode()"),
    (
        "test labels",
        "more = pd.concat([cases, task.read(DATA, split='test')])\n"
        "mk.start(mk.Config(TASK), more, 'runs/x')",
    ),
    (
        "test labels",
        "cases = cases.merge(task.inspect(DATA, 'test')[0], how='outer')\n"
        "mk.tune(mk.Config(TASK), cases, 'runs/x', space={})",
    ),
    (
        "test labels",
        "truth = pd.read_csv(Path(DATA) / 'test' / 'labels.csv')\n"
        "from xgboost import XGBClassifier\nXGBClassifier().fit(truth[['a']], truth['y'])",
    ),
    ("network", "import requests\ndoors = {'a': requests.get}\ndoors['a']('example.org')"),
    (
        "network",
        "import requests\nclass A:\n    url = 'example.org'\n\n    def go(self):\n"
        "        return requests.get(self.url)\n\nA().go()",
    ),
    ("network", "from requests import *\nget('https://example.org')"),
    ("seeds", "if False:\n    mk.seed_everything(0)\nx = np.random.rand(3)"),
    ("seeds", "x = np.random.__dict__['rand'](3)"),
    ("seeds", "def seed():\n    np.random.seed(0)\n\nx = np.random.rand(3)"),
    ("network", "get_ipython().magic('pip install timm')"),
    ("network", "os.execvp('curl', ['curl', 'example.org'])"),
    ("network", "__import__('os').__dict__['system']('curl example.org')"),
    (
        "network",
        "from concurrent.futures import ThreadPoolExecutor as E\nimport requests\n"
        "E().submit(requests.get, 'example.org')",
    ),
    ("files", "open('/pro' + 'c/self/root/srv/x')"),
    ("files", "os.chdir('..')\nos.chdir('..')\nopen('answers.csv')"),
    ("code looked at", "import ctypes\nctypes.CDLL('libc.so.6').connect(3, 0, 0)"),
    ("code looked at", "mk.seeding.seed_globals = lambda seed: None"),
    ("code looked at", "exec(open('more.txt').read())"),
]

SLIER = [  # a second list, after the first was answered
    ("network", "import urllib.request as q\nq.build_opener().open('https://example.org')"),
    (
        "network",
        "from torchvision.models import resnet18, ResNet18_Weights as W\n"
        "m = resnet18(weights=W.DEFAULT)",
    ),
    ("network", "import subprocess\nsubprocess.check_output('pip install timm'.split())"),
    (
        "network",
        "from http import client as c\nc.HTTPSConnection('example.org').request('GET', '/')",
    ),
    ("code looked at", "!{'cu' + 'rl'} example.org"),
    ("code looked at", "!python hidden/other.py"),
    ("code looked at", "%%javascript\nfetch('https://example.org')"),
    ("files", "open(os.sep + 'srv' + os.sep + 'x')"),
    ("files", "Path(os.environ['HOME'], 'answers.csv').read_text()"),
    ("files", "with Path(DATA).parent.parent.joinpath('answers.csv').open() as f:\n    f.read()"),
    ("secrets", "def login(team, password='hunter2!'):\n    return team"),
    ("secrets", "PASSWORD: str = 'hunter2!'"),
    ("secrets", "body = 'password=hunter2!&team=7'"),
    ("secrets", "import sys\nsys.argv = ['x', '--password', 'hunter2!']"),
    ("seeds", "x = torch.empty(3).normal_()"),
    ("seeds", "import scipy.stats as st\nx = st.norm.rvs(size=3)"),
    ("seeds", "g = np.random.Generator(np.random.PCG64())"),
    ("seeds", "from numpy import random as nr\nnr.seed(nr.randint(9))"),
    (
        "test labels",
        "for case in task.read(DATA, 'test').itertuples():\n    cases.loc[len(cases)] = case\n"
        "mk.fit(mk.Config(TASK), cases, 'runs/x')",
    ),
    (
        "test labels",
        "x, y = np.load('dataset/test_x.npy'), np.load('dataset/test_y.npy')\n"
        "from sklearn.svm import SVC\nSVC().fit(x, y)",
    ),
]

HONEST = [
    "token_count, tokens, tokenizer = 7, [], 'bert-base-uncased'",
    "password_field = 'password'\nlabels = {'token': 'class token', 'key': 'id'}",
    "from getpass import getpass\npassword = getpass('password: ')",
    "from getpass import getpass\nmk.save_credentials and dict(team=1, password=getpass())",
    "password = os.environ.get('BOARD_PASSWORD', '')",
    "open('notes.txt', 'w').write('x')\npd.read_csv('runs/leaks.csv')",
    "sample = pd.read_csv(Path(DATA) / 'sample_submission.csv')",
    "pd.read_csv(os.path.join(DATA, 'train', 'label.csv'))",
    "# see https://scikit-learn.org/stable and `pip install timm`\nx = 1",
    "link = 'https://arxiv.org/abs/1801.07698'\nprint(link)",
    "mk.seed_everything(SEED)\nx = np.random.rand(3), random.random(), torch.rand(2)",
    "rng = np.random.default_rng(SEED)\nx = rng.normal(size=3)\nr = random.Random(7)",
    "from sklearn.model_selection import train_test_split\n"
    "a, b = train_test_split(cases, random_state=SEED)",
    "from sklearn.ensemble import ExtraTreesClassifier as F\nm = F(9, random_state=0)",
    "some = cases.sample(n=3, random_state=SEED)",
    "np.random.seed(SEED)\nsome = cases.sample(frac=0.1)",
    "torch.manual_seed(SEED)\nlayer = torch.nn.Linear(3, 2)",
    "from torch.utils.data import DataLoader\ng = torch.Generator().manual_seed(0)\n"
    "l = DataLoader(cases, shuffle=True, generator=g)",
    "이름 = '치아'\nprint(f'{이름}: 정상 {len(cases)}개, 우식 3개')",
    "test = task.read(DATA, 'test')\nrun = mk.Run('runs/quick/fold0')\n"
    "p = mk.predict(run, test)\nmk.write_submission(task, test, p, 'runs/submission.csv', run=run)",
    "test = task.read(DATA, 'test')\nleaks = mk.find_leaks(cases, other=test)\n"
    "cases = cases[~cases['id'].isin(leaks['id_a'])]\nmk.fit(mk.Config(TASK), cases, 'runs/x')",
    "import timm\nnames = timm.list_models('resnet*')\nmk.seed_everything(0)\n"
    "m = timm.create_model('resnet18', pretrained=False)",
    "!pip install --no-index --find-links wheels medkit",
    "%matplotlib inline\n%load_ext autoreload\n!nvidia-smi",
    "%%time\nx = sum(range(9))",
    "csv = 'runs/submission.csv'\nmk.submit(csv, note='first')\nmk.standing()",
    "from urllib.parse import urlsplit\nhost = urlsplit('https://board.org/x').hostname",
    "import matplotlib.pyplot as plt\nplt.rcParams['font.family'] = 'NanumGothic'\n"
    "from matplotlib import font_manager\n"
    "font_manager.fontManager.addfont('/usr/share/fonts/truetype/nanum/NanumGothic.ttf')",
    "class Mean:\n    def __init__(self, values):\n        self.values = values\n\n"
    "    def get(self):\n        return sum(self.values) / len(self.values)\n\nMean([1, 2]).get()",
    "parts = 'a/b/c'.split('/')\nratio = f'{1 / 3:.2f}'\ntext = '</b> and/or /'",
    "best = {'auc': 0.91}.get('auc')\nprint(f'key: {best}, token: {len(cases)}')",
    "with open(Path(RUNS) / 'notes.txt', 'w', encoding='utf-8') as file:\n    file.write('x')",
    "keys = [key for key in cases if key != 'id']\nkey = keys[0]\nauth = None",
]


def notebook(*cells, ran=True, metadata=None):
    """A notebook's JSON: texts are code, a tuple is (kind, text) or (kind, text, outputs)."""
    whole, count = [], 0
    for cell in cells:
        kind, text, outputs = (("code", cell) if isinstance(cell, str) else cell) + ([],) * (
            3 - (2 if isinstance(cell, str) else len(cell))
        )
        made = {"cell_type": kind, "metadata": {}, "source": text.splitlines(True)}
        if kind == "code":
            count += 1
            made.update(execution_count=count if ran else None, outputs=outputs)
        whole.append(made)
        if text == PARAMETERS:
            made["metadata"] = {"tags": ["parameters"]}
    return {"cells": whole, "metadata": metadata or {}, "nbformat": 4, "nbformat_minor": 5}


def with_cell(code, **options):
    """The honest notebook with some code as its cell 5."""
    return notebook(("markdown", "# A contest"), IMPORTS, PARAMETERS, READING, code, **options)


def write(path, made):
    path.write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
    return path
