"""What a sweep's points are, how they are called, and what is refused before there are any."""

import itertools
import json
import random
import re
import string
import sys
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from absl.testing import flagsaver
from ml_collections import ConfigDict, config_dict

from configs import glm, linear_regression, omniglot
from icljax import checks
from jaxline_lite import command_line, modes
from jaxline_lite.base_config import check_base_config
from jaxline_lite.errors import BadInput
from jaxline_lite.files import to_json
from jaxline_lite.rules import with_chosen_fields
from jaxline_lite.run_folder import (
  flat,
  paths_of,
  read_config,
  record_config,
  refuse_another,
)
from jaxline_lite.sweep_points import MOST_BYTES, Point, make_points
from tests.jaxline_lite.dummy import RULES, configured

# ml_collections reads config files with it.
pytestmark = pytest.mark.filterwarnings('ignore:the load_module:DeprecationWarning')
FOLDER = Path('runs/some_sweep')


def real_points(config: ConfigDict, spec: str) -> list[Point]:
  """The points of a config of icljax, each checked as a command would."""
  config.sweep = spec
  return make_points(config, FOLDER, checks, lambda point: modes.check(point, 'train', checks))


def dummy_points(spec: str, check=lambda config: None, **fields: Any) -> list[Point]:
  """The points of the dummy's config; `fields` are new ones of its model."""
  config = configured(FOLDER)
  config.model.update({'own': 'text', 'sizes': (1, 2), 'is_new': False, **fields})
  config.sweep = spec
  return make_points(config, FOLDER, RULES, check)


def fields_of(points: list[Point]) -> list[dict[str, Any]]:
  return [point.fields for point in points]


# What is wrong: (the spec, what its one line has to name).
WRONG = {
  'nothing': ('', ['it is empty', "'task.n_tasks=2^1..2^7,0; random_seed=0..2'"]),
  'blanks': ('  ', ['it is empty']),
  'a name': ('raventoss', ["there is no sweep 'raventoss'", 'fields and values']),
  'an unknown field': ('task.rr=1,2', ["'task.rr': there is no such field", "'task.r'"]),
  'a field in capitals': ('TASK.R=1', ["did you mean 'task.r'"]),
  'a name of elsewhere': ('lr=1e-3', ["did you mean 'optimizer.learning_rate'"]),
  'a seed': ('seed=0..2', ["did you mean 'random_seed'"]),
  'a name of two fields, one of evaluations': (
    'batch_size=8', ["(did you mean 'training.batch_size'?)"]
  ),
  'a short name': ('width=64', ["did you mean 'model.width'"]),
  'a group': ('task=1,2', ["'task' is a group of fields", 'task.n_tasks']),
  'a field twice': ('task.r=1;task.r=2', ['task.r is there twice', 'in one place']),
  'a field twice in step': ('task.r,task.r=(1,2)', ['task.r is there twice']),
  'a field alone and in step': ('task.r=1;task.D,task.r=(1,2)', ['task.r is there twice']),
  'a point twice': ('task.n_tasks=1,1', ['the point n_tasks=1 is there twice']),
  'a number in two spellings': ('task.r=1.0,1', ['the point task.r=1 is there twice']),
  'a number inside a range': ('task.n_tasks=1..4,3', ['the point n_tasks=3 is there twice']),
  'a step twice': (
    'task.n_tasks,task.r=(2,1),(2,1)', ['the point n_tasks=2,task.r=1 is there twice']
  ),
  'two zeros': ('optimizer.weight_decay=0.0,-0.0', ['the point weight_decay=0 is there twice']),
  'what is twice and cannot be built': ('model.width=63,63', ['width=63 is there twice']),
  'a range backwards': ('random_seed=5..2', ["'5..2' runs backwards", '2..5']),
  'a range backwards by one': ('random_seed=5..4', ["'5..4' runs backwards", '4..5']),
  'powers backwards': ('task.n_tasks=2^5..2^2', ["'2^5..2^2' runs backwards", '2^2..2^5']),
  'two bases': ('task.n_tasks=2^1..3^4', ['mixes the bases 2 and 3', '2^1..2^5']),
  'three ends': ('random_seed=1..2..3', ["'1..2..3' is neither a range nor a power"]),
  'a range without an end': ('random_seed=1..', ["'1..' is neither", '0..2']),
  'a range of fractions': ('task.r=0.1..0.5', ["'0.1..0.5' is neither", 'whole numbers']),
  'a power of nothing': ('task.n_tasks=2^', ["'2^' is neither", '2^3']),
  'a fraction to a power': ('task.r=1.5^2', ["'1.5^2' is neither"]),
  'powers of one': ('task.n_tasks=1^1..1^3', ["'1^1' cannot be used", 'powers of 2 and above']),
  'a power beyond numbers': ('task.r=2^99999999', ["'2^99999999' cannot be used", '2^1023']),
  'a whole number to a negative power': ('task.n_tasks=2^-1', ["task.n_tasks is '0.5'"]),
  'a fraction as an end': ('task.n_tasks=2^-1..5', ["'2^-1' is the end of a range", 'none']),
  'an empty part': ('task.r=1;;random_seed=0', ['has an empty part', 'FIELD=VALUES']),
  'an empty part at the end': ('task.r=1;', ["'task.r=1;' has an empty part"]),
  'no values': ('task.r=', ["'task.r=' has an empty value"]),
  'no values beside others': ('random_seed=0;task.r', ["'task.r' gives no field its values"]),
  'an empty value': ('task.r=1,,2', ["'task.r=1,,2' has an empty value", "''"]),
  'no field': ('=1,2', ["'=1,2' has no name"]),
  'no second field': ('task.r,=(1,2)', ['has no name before a comma']),
  'three values for two': (
    'task.n_tasks,model.width=(2,64,3)', ['takes 2 values in step, and (2,64,3)', '(VALUE1,VALUE2)']
  ),
  'one value for two': ('task.n_tasks,model.width=2,64', ['takes 2 values in step, and 2 is not']),
  'an empty one of two': ('task.n_tasks,model.width=(2,)', ['takes 2 values in step, and (2,)']),
  'a range in step': (
    'task.n_tasks,model.width=(1..3,64)', ["'1..3' is a range", 'task.n_tasks takes one value']
  ),
  'a parenthesis': ('task.n_tasks,task.r=(1,2', ['parentheses do not match', 'close each']),
  'another parenthesis': ('task.r=1)', ['parentheses do not match']),
  'parentheses inside out': ('task.r=)1(', ['parentheses do not match']),
  'a quote': ("task.families='poisson", ['quotes do not match']),
  'a power of ten': ('training_steps=1e3', ["training_steps is '1e3'", 'such as 1000']),
  'no whole number': ('task.K=1.5', ["task.K is '1.5'; allowed is a whole number"]),
  'an infinite pool': ('task.n_tasks=2,inf', ["'inf'", '0 means a fresh task per episode']),
  'no number': ('task.r=big', ["task.r is 'big'; allowed is a number"]),
  'no number but none': ('task.r=none', ["task.r is 'none'; allowed is a number"]),
  'a number in quotes': ("task.r='1'", ["allowed is a number"]),
  'no truth value': ('deterministic=yes', ["deterministic is 'yes'; allowed is true or false"]),
  'a field of evaluations': ('eval.seed=0..2', ['eval.seed cannot be swept', 'the same run']),
  'the group of evaluations': ('eval=1', ['eval cannot be swept']),
  'a folder': ('checkpoint_dir=a,b', ['checkpoint_dir cannot be swept']),
  'what is saved': ('save_checkpoint_interval=1,2', ['save_checkpoint_interval cannot be swept']),
  'a sweep': ('sweep=a,b', ['sweep cannot be swept']),
  'workers': ('sweep_workers=1..4', ['sweep_workers cannot be swept', 'for all points']),
  'too many points': ('task.n_tasks=0..2^31', ['2147483649 points', 'at most 10000']),
  'too many of several fields': (
    'task.r=1..30; random_seed=0..19; task.n_tasks=1..20', ['12000 points', 'at most 10000']
  ),
  'a point that cannot be built': (
    'model.width=60,64; model.heads=4,8', ['the point heads=8,width=60', 'does not divide']
  ),
  'steps fewer than the warm-up': (
    'training_steps=100,3000', ['the point training_steps=100', 'optimizer.warmup_steps is 200']
  ),
  'a seed that is none': ('random_seed=-1..1', ['the point random_seed=-1', 'random_seed is -1']),
  'a rate that is no number': ('optimizer.learning_rate=nan', ['the point learning_rate=nan']),
}  # fmt: skip


@pytest.mark.parametrize('what', WRONG)
def test_a_wrong_sweep_ends_in_one_line(what):
  spec, named = WRONG[what]
  with pytest.raises(BadInput) as refused:
    real_points(glm.get_config(), spec)
  line = str(refused.value)
  assert line.startswith('--config.sweep: ')
  assert '\n' not in line
  for text in named:
    assert text in line


@pytest.mark.parametrize('field', sorted(omniglot.DEFAULTS))
def test_where_data_lie_is_not_swept(field):
  """Everything else of the config is: its values are of no interest here."""
  config = omniglot.get_config()
  config.sweep = f'{field}=\0'
  is_free = field.startswith('eval') or field in checks.located_fields(config)
  is_free |= field in ('sweep', 'best_model_eval_metric', 'best_model_eval_metric_higher_is_better')
  try:
    make_points(config, FOLDER, checks, lambda point: None)
    reason = ''
  except BadInput as error:
    reason = str(error)
  assert ('cannot be swept' in reason) == is_free


def test_all_combinations_in_the_order_in_which_they_are_written():
  points = real_points(glm.get_config(), 'task.r=2.5,1.2,5; random_seed=0..2;task.n_tasks=2^1..2^3')
  expected = itertools.product((2.5, 1.2, 5.0), range(3), (2, 4, 8))
  assert [tuple(point.fields.values()) for point in points] == list(expected)
  assert [list(point.fields) for point in points] == 27 * [
    ['task.r', 'random_seed', 'task.n_tasks']
  ]


@pytest.mark.parametrize(
  ('spec', 'values'),
  [
    ('random_seed=3', [3]),
    ('random_seed=3..3', [3]),
    ('random_seed=-2..1', [-2, -1, 0, 1]),
    ('random_seed=9, 0..2 ,5', [9, 0, 1, 2, 5]),
    (' random_seed = 0 .. 1 , 7 ', [0, 1, 7]),
    ('random_seed=2^0..2^4', [1, 2, 4, 8, 16]),
    ('random_seed=2^1..2^7,0', [2, 4, 8, 16, 32, 64, 128, 0]),
    ('random_seed=10 ^ 0 .. 10 ^ 3', [1, 10, 100, 1000]),
    ('random_seed=2^3,3^2', [8, 9]),
    ('random_seed=1_000', [1000]),
    ('random_seed=6..2^3', [6, 7, 8]),
    ('model.rate=1,0.5,1e-5', [1.0, 0.5, 1e-5]),
    ('model.rate=1..3', [1.0, 2.0, 3.0]),
    ('model.rate=10^-5..10^-1', [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]),
    ('model.rate=2^-2..2^1', [0.25, 0.5, 1.0, 2.0]),
    ('model.rate=inf', [float('inf')]),
    ('model.is_new=true,False', [True, False]),
    ('model.is_new=0,1', [False, True]),
    ('model.own=a,b c,1..3,2^3', ['a', 'b c', '1..3', '2^3']),
    ("model.own='a,b',\"c;d='e'\",''", ['a,b', "c;d='e'", '']),
    ('model.own=f(1, 2),(a)', ['f(1, 2)', '(a)']),
    ('model.own=a=b', ['a=b']),
    ("model.sizes=(1,),(2, 3),(),(('a;b', 1.5), 2)", [(1,), (2, 3), (), (('a;b', 1.5), 2)]),
    ('model.shift=none,1', [None, 1.0]),
    ('model.count=none,1', [None, 1]),
    ('model.nothing=none,1', [None, 1.0]),
  ],
)
def test_values_are_of_the_kind_of_their_field(spec, values):
  empty = {'shift': config_dict.placeholder(float), 'count': config_dict.placeholder(int)}
  points = dummy_points(spec, **empty, nothing=None)
  field = spec.partition('=')[0].strip()
  assert [point.fields for point in points] == [{field: value} for value in values]
  for point, value in zip(points, values, strict=True):
    assert type(point.fields[field]) is type(value)
    assert flat(point.config.to_dict())[field] == value
    assert type(flat(point.config.to_dict())[field]) is type(value)


def test_fields_in_step():
  spec = 'random_seed, model.own,model.sizes=(2^3,a,(1,2)), ( 1 , "b,c" , () ); model.rate=1,2'
  expected = [
    {'random_seed': seed, 'model.own': own, 'model.sizes': sizes, 'model.rate': rate}
    for (seed, own, sizes), rate in itertools.product(
      ((8, 'a', (1, 2)), (1, 'b,c', ())), (1.0, 2.0)
    )
  ]
  assert fields_of(dummy_points(spec)) == expected


def test_a_published_sweep_has_a_name():
  expected = dummy_points('model.rate=0.1,0.5; random_seed=0..2')
  assert fields_of(dummy_points(' rates ')) == fields_of(expected)
  with pytest.raises(BadInput, match=r"no sweep 'ratse' \(did you mean 'rates'\?\).*rates, widths"):
    dummy_points('ratse')


def test_the_count_is_known_before_there_are_points():
  assert len(dummy_points('random_seed=0..99; model.width=1..100')) == 10_000
  tracemalloc.start()
  try:
    for spec in (
      'random_seed=0..10000', 'random_seed=0..2^31', 'random_seed=0..999999999999999999',
      'random_seed=0..2^1000', 'random_seed=1..10;model.width=1..10^9', 'model.rate=-9999..1',
      ';'.join(['random_seed=0..2^1000', 'model.width=0..2^1000', 'model.rate=0..2^1000']),
    ):  # fmt: skip
      with pytest.raises(BadInput, match=r'points or more; allowed are at most 10000'):
        dummy_points(spec)
    assert tracemalloc.get_traced_memory()[1] < 2e6  # bytes; ten thousand points take more
  finally:
    tracemalloc.stop()


def test_checks_see_every_point_once_and_name_it():
  seen = []

  def check(config: ConfigDict) -> None:
    seen.append((config.random_seed, config.model.rate))
    if config.random_seed == 1 and config.model.rate == 2:
      raise ValueError('model.rate is 2.0; allowed is less')

  message = 'the point random_seed=1,rate=2 cannot be run: model.rate is 2.0; allowed is less'
  with pytest.raises(BadInput, match=re.escape(message)):
    dummy_points('random_seed=0..2; model.rate=1,2', check)
  assert seen == [(0, 1.0), (0, 2.0), (1, 1.0), (1, 2.0)]


def parsed(file: str, overrides: Mapping[str, str], monkeypatch) -> ConfigDict:
  """What the command line makes of overrides, as a single run has it."""
  arguments = [f'--config.{field}={text}' for field, text in overrides.items()]
  # ml_collections finds its overrides nowhere else.
  monkeypatch.setattr(sys, 'argv', ['run.py', f'--config={file}', *arguments])
  with flagsaver.flagsaver():
    config, _, _ = command_line.parse(sys.argv, checks)
  return with_chosen_fields(config, checks)


@pytest.mark.parametrize(
  ('module', 'words', 'steps'),
  [
    (glm, '', [{'task.r': '5', 'random_seed': '7'}, {'task.r': '1.2', 'random_seed': '0'}]),
    (glm, 'poisson', [{'task.families': 'linear'}, {'task.families': 'poisson,exponential'}]),
    (glm, 'paper', [{'optimizer.clip_norm': 'inf'}, {'optimizer.clip_norm': '1e-05'}]),
    (
      linear_regression,
      '',
      [{'task.n_tasks': '0'}, {'task.n_tasks': '64'}, {'task.n_tasks': '100000'}],
    ),
    (
      linear_regression,
      'small',
      [
        {'training_steps': '16000', 'optimizer.warmup_steps': '8000', 'deterministic': 'true'},
        {'training_steps': '600', 'optimizer.warmup_steps': '300', 'deterministic': 'f'},
      ],
    ),
    (
      omniglot,
      'procedural',
      [
        {'data.seq_config.p_bursty': '0', 'data.generator_config.zipf_exponent': '1'},
        {'data.seq_config.p_bursty': '0.9', 'data.generator_config.zipf_exponent': '0'},
      ],
    ),
    (omniglot, '', [{'model.sequence': 'lstm'}, {'model.sequence': 'rnn'}]),
    (glm, '', [{'init_from': 'runs/other'}, {'init_from': '../a/checkpoints/20'}]),
  ],
)
def test_a_point_is_the_run_of_the_same_overrides(module, words, steps, monkeypatch):
  """To the type of every value, and whatever is chosen for the point."""
  fields = list(steps[0])
  rows = [
    ','.join(f"'{text}'" if ',' in text else text for text in step.values()) for step in steps
  ]
  values = ','.join(f'({row})' for row in rows) if len(fields) > 1 else ','.join(rows)
  config = module.get_config(words)
  config.sweep_workers = 3
  config.lock()  # as the command line does
  points = real_points(config, f'{",".join(fields)}={values}')
  file = f'configs/{module.__name__.rpartition(".")[2]}.py:{words or "quick"}'
  for point, step in zip(points, steps, strict=True):
    # A run has no sweep, whatever its config file proposes.
    own = {'checkpoint_dir': str(FOLDER / point.name), 'sweep': ''}
    expected = parsed(file, step | own, monkeypatch)
    assert point.config == expected
    assert to_json(point.config.to_dict()) == to_json(expected.to_dict())  # 1 is not 1.0 there
    assert (point.config.sweep, point.config.sweep_workers) == ('', 1)


def test_what_is_left_open_is_chosen_for_each_point():
  points = real_points(linear_regression.get_config(), 'task.n_tasks=0,64,2^20')
  chosen = [(point.config.eval_modes, point.config.eval.episodes) for point in points]
  both = ('eval_pretrain', 'eval_latent')
  assert chosen == [(('eval_latent',), 10_000), (both, 10_000), (both, 2_048)]


def test_the_config_that_is_swept_stays_as_it_was():
  config = glm.get_config()
  before = config.to_dict() | {'sweep': 'task.r=1,2'}
  real_points(config, 'task.r=1,2')
  assert config.to_dict() == before


@pytest.mark.parametrize(
  ('spec', 'names'),
  [
    ('task.n_tasks=64; random_seed=0', ['n_tasks=64,random_seed=0']),
    ('random_seed=0; task.n_tasks=64', ['n_tasks=64,random_seed=0']),  # the same run
    ('task.r=1.2,2.5,5', ['task.r=1.2', 'task.r=2.5', 'task.r=5']),  # there is eval.r
    ('task.D=8', ['D=8']),
    ('training.batch_size=32', ['training.batch_size=32']),  # and eval.batch_size
    ('optimizer.learning_rate=1e-5,1.0', ['learning_rate=1e-05', 'learning_rate=1']),
    ('optimizer.clip_norm=inf,1e20', ['clip_norm=inf', 'clip_norm=1e+20']),
    ('task.families="poisson,linear"', ['families=poisson%2clinear']),
    ('optimizer.name=adamw', ['name=adamw']),
  ],
)
def test_names_say_what_is_swept(spec, names):
  points = real_points(glm.get_config(), spec)
  assert [point.name for point in points] == names
  assert [point.config.checkpoint_dir for point in points] == [str(FOLDER / name) for name in names]


def test_names_of_other_values():
  spec = "model.own,model.is_new,model.sizes=(A b,true,()),('',0,(1,'x')),(.x,0,()),(..,0,())"
  assert [point.name for point in dummy_points(spec)] == [
    'is_new=true,own=%41%20b,sizes=%28%29',
    'is_new=false,own=,sizes=%281%2c%20%27x%27%29',
    'is_new=false,own=%2ex,sizes=%28%29',
    'is_new=false,own=%2e.,sizes=%28%29',
  ]
  [point] = dummy_points('model.shift=none', shift=config_dict.placeholder(float))
  assert point.name == 'shift=none'


def test_a_name_is_the_shortest_that_no_other_field_ends_in():
  """Whatever else is swept; capitals count as small letters."""
  config = configured(FOLDER)
  config.model.update({'R': 1, 'deep': ConfigDict({'r': 1, 'model': ConfigDict({'r': 1})})})
  config.top = 1
  config.model.top = 1
  fields = ['model.R', 'model.deep.r', 'model.deep.model.r', 'top', 'model.top', 'model.width']
  names = []
  for field in fields:
    config.sweep = f'{field}=1'
    [point] = make_points(config, FOLDER, RULES, lambda point: None)
    names.append(point.name.removesuffix('=1'))
  assert names == ['model.R', 'deep.r', 'deep.model.r', 'top', 'model.top', 'width']


LETTERS = 'aAbB01.,;=%/\\:~ -_+*?|<>()"\'\n\t\x00\x7fäÄé\u0301ßſİ中\U0001f600\ud800'
ADVERSARIAL = [
  '', ' ', '.', '..', '...', '/', '//', '%', '%2f', '%2F', '%252f', 'A', 'a', 'AA', 'Aa', 'none',
  'None', 'true', '1', '1.0', 'a,random_seed=1', 'a=b', '~', '~/a', '-rf', 'con', 'é', 'e\u0301',
  *('x' * length for length in range(180, 260)), *('x' * 300 + tail for tail in ('', 'y', 'Y')),
  'ä' * 70, 'ä' * 71, 'Ä' * 300,
]  # fmt: skip


def adversarial() -> list[str]:
  """Texts that a spec can quote, all distinct."""
  source = random.Random(14)
  drawn = [''.join(source.choices(LETTERS, k=source.randint(1, 80))) for _ in range(2_000)]
  texts = dict.fromkeys(text for text in ADVERSARIAL + drawn if "'" not in text or '"' not in text)
  return list(texts)


def quoted(text: str) -> str:
  return f'"{text}"' if "'" in text else f"'{text}'"


def test_names_of_distinct_points_are_distinct_and_safe():
  texts = adversarial()
  spec = f'model.own={",".join(map(quoted, texts))}; random_seed=0,1'
  points = dummy_points(spec)
  expected = [
    {'model.own': own, 'random_seed': seed} for own, seed in itertools.product(texts, (0, 1))
  ]
  assert fields_of(points) == expected
  names = [point.name for point in points]
  assert len({name.casefold() for name in names}) == len(names)  # also where case says nothing
  safe = set(string.ascii_lowercase + string.digits + '._+-%,=~')
  for name in names:
    assert set(name) <= safe
    assert len(name.encode()) <= MOST_BYTES
    assert name[0] not in '.-~'
  assert max(map(len, names)) == MOST_BYTES


def test_numbers_of_distinct_points_have_distinct_names():
  source = random.Random(3)
  numbers = [source.uniform(-1, 1) * 10.0 ** source.randint(-300, 300) for _ in range(1_000)]
  numbers += [0.0, 1.0, 1e15, 1e16, 1e22, 5e-324, 0.1, 0.1 + 0.2, 0.3, float('inf'), -float('inf')]
  points = dummy_points(f'model.rate={",".join(map(repr, numbers))}')
  names = [point.name for point in points]
  assert [float(name.removeprefix('rate=')) for name in names] == numbers
  assert len(set(names)) == len(numbers)
  for twice in ('0.0,-0.0', 'nan,nan', '0.1,.1', '1,1e0', '9007199254740992..9007199254740993'):
    with pytest.raises(BadInput, match='is there twice'):
      dummy_points(f'model.rate={twice}')


def test_folders_of_points_are_paths_that_commas_do_not_split(tmp_path):
  texts = ['a,b', 'A', '..', '', 'x' * 300, 'http:a', '~', '7', ' a ']
  config = configured(tmp_path)
  config.model.own = 'text'
  config.sweep = f'random_seed=0..1; model.own={",".join(map(quoted, texts))}'
  points = make_points(config, tmp_path, RULES, lambda point: None)
  folders = [Path(point.config.checkpoint_dir) for point in points]
  for point, folder in zip(points, folders):
    folder.mkdir()  # one inside the sweep: no name has a slash
    record_config(folder, point.config, RULES)
  assert {path.name for path in tmp_path.iterdir()} == {point.name for point in points}
  assert [path.resolve() for path in paths_of(','.join(map(str, folders)))] == folders
  for point, folder in zip(points, folders):
    modes.check(point.config, 'train', RULES)
    assert read_config(folder, RULES) == point.config


def test_how_many_share_a_sweep_is_no_part_of_a_run(tmp_path):
  """Nor is a run another one that began before there were sweeps."""
  config = configured(tmp_path)
  record_config(tmp_path, config, RULES)
  stored = json.loads((tmp_path / 'config.json').read_text())
  assert (stored.pop('sweep'), stored.pop('sweep_workers')) == ('', 1)
  (tmp_path / 'config.json').write_text(json.dumps(stored))
  assert read_config(tmp_path, RULES) == config
  config.update({'sweep': 'model.rate=1,2', 'sweep_workers': 4})
  refuse_another(tmp_path, config, RULES)


@pytest.mark.parametrize('workers', [-1, 0, 257])
def test_processes_of_one_machine_are_few(workers):
  config = configured(FOLDER, sweep_workers=workers)
  with pytest.raises(BadInput, match=f'sweep_workers is {workers}; allowed are .* from 1 to 256'):
    check_base_config(config)
  for allowed in (1, 256):
    check_base_config(configured(FOLDER, sweep_workers=allowed))
