"""Dovetail's models as PyTorch modules, with the parameter names of checkpoint.h5."""
import collections

from torch import nn


def sequence(**layers):
    return nn.Sequential(collections.OrderedDict(layers))


def mlp(channels, height, width, classes):
    return sequence(flatten=nn.Flatten(), dense1=nn.Linear(channels * height * width, 256), relu1=nn.ReLU(),
                    dense2=nn.Linear(256, 128), relu2=nn.ReLU(), dense3=nn.Linear(128, classes))


def cnn(channels, height, width, classes):
    return sequence(conv1=nn.Conv2d(channels, 32, 3, padding=1), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2),
                    conv2=nn.Conv2d(32, 64, 3, padding=1), relu2=nn.ReLU(), pool2=nn.MaxPool2d(2),
                    flatten=nn.Flatten(), dense1=nn.Linear(64 * (height // 4) * (width // 4), 128), relu3=nn.ReLU(),
                    dense2=nn.Linear(128, classes))


by_name = {"mlp": mlp, "cnn": cnn}
