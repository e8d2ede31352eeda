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


def sfc(channels, height, width, classes):
    layers, features = {"flatten": nn.Flatten()}, channels * height * width
    for i in (1, 2, 3):
        layers |= {f"dense{i}": nn.Linear(features, 256, bias=False), f"norm{i}": nn.BatchNorm1d(256),
                   f"relu{i}": nn.ReLU()}
        features = 256
    return sequence(**layers, dense4=nn.Linear(features, classes))


def vgg_small(channels, height, width, classes):
    layers = {}
    for i, width_of in enumerate((64, 64, 128, 128, 256, 256), start=1):
        layers |= {f"conv{i}": nn.Conv2d(channels, width_of, 3, padding=1, bias=False),
                   f"norm{i}": nn.BatchNorm2d(width_of), f"relu{i}": nn.ReLU()}
        if i % 2 == 0:
            layers[f"pool{i}"] = nn.MaxPool2d(2)
        channels = width_of
    return sequence(**layers, flatten=nn.Flatten(), dense1=nn.Linear(256 * (height // 8) * (width // 8), 512),
                    relu7=nn.ReLU(), dense2=nn.Linear(512, classes))


by_name = {"mlp": mlp, "cnn": cnn, "sfc": sfc, "vgg-small": vgg_small}
