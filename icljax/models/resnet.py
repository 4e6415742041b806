"""A small ResNet v1 with bottlenecks: images `[N, side, side]` to embeddings `[N, 64]` (He et al.
2016; sizes of Chan et al. 2022).
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from icljax.models.transformer import dtype_of

DECAY, EPSILON = 0.9, 1e-5


class Norm(nn.Module):
  """Batch norm over all devices: in training by the statistics of the whole batch, else by their
  running averages.
  """

  scale_init: nn.initializers.Initializer = nn.initializers.ones

  @nn.compact
  def __call__(self, x: Array, training: bool, axis: str | None) -> Array:
    return nn.BatchNorm(
      use_running_average=not training,
      momentum=DECAY,
      epsilon=EPSILON,
      scale_init=self.scale_init,
      axis_name=axis,
      name='norm',
    )(x.astype(jnp.float32))


class Bottleneck(nn.Module):
  """1x1, 3x3 and 1x1 convolutions around a shortcut, which is projected where the shape changes."""

  channels: int
  stride: int
  projects: bool
  precision: str | None = None

  @nn.compact
  def __call__(self, x: Array, training: bool, axis: str | None) -> Array:
    def convolved(x, channels, size, stride, name):
      layer = nn.Conv(
        channels,
        (size, size),
        (stride, stride),
        padding='SAME',
        use_bias=False,
        dtype=dtype_of(self.precision),
        precision=self.precision,
        name=name,
      )
      return layer(x)

    inner, shortcut = self.channels // 4, x
    if self.projects:
      shortcut = Norm(name='norm_shortcut')(
        convolved(x, self.channels, 1, self.stride, 'shortcut'), training, axis
      )
    x = nn.relu(Norm(name='norm_0')(convolved(x, inner, 1, 1, 'conv_0'), training, axis))
    x = nn.relu(Norm(name='norm_1')(convolved(x, inner, 3, self.stride, 'conv_1'), training, axis))
    x = Norm(nn.initializers.zeros, name='norm_2')(
      convolved(x, self.channels, 1, 1, 'conv_2'), training, axis
    )
    return nn.relu(x + shortcut)


class ResNet(nn.Module):
  """A stem that shrinks four times, groups of blocks, and the mean over what is left of the image.

  Attributes:
    channels: of each group; the last is the width of the embedding.
    blocks: in each group.
    strides: of each group's first block.
  """

  channels: Sequence[int] = (16, 32, 32, 64)
  blocks: int = 2
  strides: Sequence[int] = (1, 2, 2, 2)
  stem: int = 64
  precision: str | None = None

  @nn.compact
  def __call__(self, images: Array, training: bool = False, axis: str | None = None) -> Array:
    stem = nn.Conv(
      self.stem,
      (7, 7),
      (2, 2),
      padding='SAME',
      use_bias=False,
      dtype=dtype_of(self.precision),
      precision=self.precision,
      name='stem',
    )
    x = stem(images[..., None])
    x = nn.max_pool(
      nn.relu(Norm(name='norm_stem')(x, training, axis)), (3, 3), (2, 2), padding='SAME'
    )
    for group, (channels, stride) in enumerate(zip(self.channels, self.strides)):
      for block in range(self.blocks):
        first = block == 0
        layer = Bottleneck(
          channels, stride if first else 1, first, self.precision, name=f'group_{group}_{block}'
        )
        x = layer(x, training, axis)
    return x.mean((1, 2))
