"""dynloop: looped transformers as discrete dynamical systems.

The public names are loaded when they are first used, so that ``import dynloop`` never imports torch.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "KernelMap": "dynloop.maps.kernel",
    "LoopMap": "dynloop.maps.base",
    "TorchMap": "dynloop.maps.torch",
    "with_clock": "dynloop.maps.clock",
    "interpolate": "dynloop.maps.blocks",
    "vary": "dynloop.maps.blocks",
    "capture_block": "dynloop.adapters.generic",
    "open_checkpoint": "dynloop.adapters.registry",
    "register_adapter": "dynloop.adapters.registry",
    "Attractor": "dynloop.basins.attractors",
    "Mapper": "dynloop.basins.attractors",
    "basins": "dynloop.basins.grid",
    "Basins": "dynloop.basins.grid",
    "plane": "dynloop.basins.slices",
    "box": "dynloop.basins.slices",
    "Slice": "dynloop.basins.slices",
    "by_classification": "dynloop.basins.classification",
    "by_features": "dynloop.basins.features",
    "by_proximity": "dynloop.basins.proximity",
    "plane_along_eigenvectors": "dynloop.basins.planes",
    "plane_along_orbits": "dynloop.basins.planes",
    "plane_through": "dynloop.basins.planes",
    "by_recurrence": "dynloop.basins.recurrence",
    "orbit_diagram": "dynloop.diagrams.orbits",
    "OrbitDiagram": "dynloop.diagrams.orbits",
    "exponent_diagram": "dynloop.diagrams.exponents",
    "ExponentDiagram": "dynloop.diagrams.exponents",
    "period_diagram": "dynloop.diagrams.periods",
    "PeriodDiagram": "dynloop.diagrams.periods",
    "draw_basins": "dynloop.views.plots.basins",
    "draw_branch": "dynloop.views.plots.sweeps",
    "draw_exponent_diagram": "dynloop.views.plots.sweeps",
    "draw_orbit_diagram": "dynloop.views.plots.sweeps",
    "draw_period_diagram": "dynloop.views.plots.sweeps",
    "draw_convergence": "dynloop.views.plots.convergence",
    "draw_lyapunov": "dynloop.views.plots.lyapunov",
    "draw_multipliers": "dynloop.views.plots.multipliers",
    "draw_orbit": "dynloop.views.plots.orbit",
    "draw_regimes": "dynloop.views.plots.regimes",
    "regime_diagram": "dynloop.diagrams.regimes",
    "RegimeDiagram": "dynloop.diagrams.regimes",
    "draw_regime_diagram": "dynloop.views.plots.sweeps",
    "report": "dynloop.views.report",
    "classify_prompts": "dynloop.orbits.prompts",
    "PromptSummary": "dynloop.orbits.prompts",
    "classify_sections": "dynloop.orbits.sections",
    "SectionClassification": "dynloop.orbits.sections",
    "Unfinished": "dynloop.orbits.unfinished",
    "trajectory": "dynloop.orbits.trajectory",
    "Trajectory": "dynloop.orbits.trajectory",
    "precision_floor": "dynloop.orbits.floor",
    "gali": "dynloop.calculus.gali",
    "Gali": "dynloop.calculus.gali",
    "weighted_birkhoff": "dynloop.calculus.weighted_birkhoff",
    "BirkhoffAverage": "dynloop.calculus.weighted_birkhoff",
    "continue_fixed_point": "dynloop.orbits.continuation",
    "switch_branch": "dynloop.orbits.continuation",
    "Branch": "dynloop.orbits.branches.record",
    "Bifurcation": "dynloop.orbits.branches.record",
    "zero_one_test": "dynloop.orbits.zero_one",
    "ZeroOneTest": "dynloop.orbits.zero_one",
    "rotation_number": "dynloop.orbits.rotation",
    "RotationNumber": "dynloop.orbits.rotation",
    "certify": "dynloop.orbits.certificates.certificate",
    "Certificate": "dynloop.orbits.certificates.certificate",
    "fixed_points_in_box": "dynloop.orbits.certificates.in_box",
    "FixedPointsInBox": "dynloop.orbits.certificates.in_box",
    "covariant_vectors": "dynloop.calculus.covariant",
    "CovariantVectors": "dynloop.calculus.covariant",
    "lyapunov_spectrum": "dynloop.calculus.lyapunov",
    "LyapunovSpectrum": "dynloop.calculus.lyapunov",
    "jacobian": "dynloop.calculus.jacobian",
    "jacobian_operator": "dynloop.calculus.jacobian",
    "token_jacobians": "dynloop.calculus.jacobian",
    "multipliers": "dynloop.calculus.spectrum",
    "Spectrum": "dynloop.calculus.spectrum",
    "spectral_radius": "dynloop.calculus.spectrum",
    "singular_values": "dynloop.calculus.singular",
    "SingularValues": "dynloop.calculus.singular",
    "normality": "dynloop.calculus.normality",
    "Normality": "dynloop.calculus.normality",
    "find_fixed_points": "dynloop.orbits.fixed_points",
    "FixedPoints": "dynloop.orbits.solved",
    "classify": "dynloop.orbits.regime",
    "Classification": "dynloop.orbits.verdict",
    "classify_trajectory": "dynloop.orbits.recorded",
    "RecordedClassification": "dynloop.orbits.records.verdict",
    "RecordedTokens": "dynloop.orbits.records.verdict",
    "Evidence": "dynloop.orbits.verdict",
    "PathIndependence": "dynloop.orbits.paths.verdict",
    "path_independence": "dynloop.orbits.paths.independence",
    "halting_rules": "dynloop.orbits.halting.rules",
    "HaltingRules": "dynloop.orbits.halting.verdict",
    "track_edge": "dynloop.basins.boundaries.edge",
    "EdgeOrbit": "dynloop.basins.boundaries.edge",
    "basin_entropy": "dynloop.basins.boundaries.entropy",
    "BasinEntropy": "dynloop.basins.boundaries.entropy",
    "minimal_critical_shock": "dynloop.basins.boundaries.shock",
    "CriticalShock": "dynloop.basins.boundaries.shock",
    "uncertainty_exponent": "dynloop.basins.boundaries.uncertainty",
    "UncertaintyExponent": "dynloop.basins.boundaries.uncertainty",
    "wada_test": "dynloop.basins.boundaries.wada",
    "WadaTest": "dynloop.basins.boundaries.wada",
    "cell_graph": "dynloop.basins.cells.graph",
    "CellGraph": "dynloop.basins.cells.graph",
    "ulam_matrix": "dynloop.basins.cells.ulam",
    "UlamMatrix": "dynloop.basins.cells.ulam",
    "continue_fractions": "dynloop.basins.following",
    "FractionsBranch": "dynloop.basins.following",
    "basin_fractions": "dynloop.basins.fractions",
    "BasinFractions": "dynloop.basins.fractions",
    "path_independence_of_prompts": "dynloop.basins.prompts",
    "PromptIndependence": "dynloop.basins.prompts",
    "basin_stability": "dynloop.basins.stability",
    "BasinStability": "dynloop.basins.stability",
    "ablate": "dynloop.inference.ablation",
    "Ablation": "dynloop.inference.ablation",
    "attention_stability": "dynloop.inference.attention",
    "AttentionStability": "dynloop.inference.stability",
    "inference_stages": "dynloop.inference.stages",
    "InferenceStages": "dynloop.inference.curves",
    "align_stages": "dynloop.inference.alignment",
    "StageAlignment": "dynloop.inference.alignment",
    "draw_ablation": "dynloop.views.plots.inference",
    "draw_attention": "dynloop.views.plots.inference",
    "draw_stages": "dynloop.views.plots.inference",
    "Regime": "dynloop.orbits.verdict",
    "Plan": "dynloop.studies.plan",
    "Study": "dynloop.studies.study",
    "StudyTable": "dynloop.studies.table",
    "study": "dynloop.studies.study",
    "read_plan": "dynloop.analyses.plan_file",
    "Status": "dynloop.result",
    "load": "dynloop.result",
}
_ROOMS = {
    "adapters", "analyses", "calculus", "diagrams", "errors", "inference", "maps", "nn", "orbits", "result", "studies",
    "synthetic", "testing", "views", "zoo",
}  # fmt: skip
_MOVED = {"synthetic": "dynloop.maps.synthetic", "zoo": "dynloop.maps.zoo"}

__all__ = [*sorted(_HOME), "synthetic", "testing", "zoo"]

if TYPE_CHECKING:  # `as` makes a name public for type checkers
    from dynloop import testing as testing
    from dynloop.adapters.generic import capture_block as capture_block
    from dynloop.adapters.registry import open_checkpoint as open_checkpoint
    from dynloop.adapters.registry import register_adapter as register_adapter
    from dynloop.analyses.plan_file import read_plan as read_plan
    from dynloop.basins.attractors import Attractor as Attractor
    from dynloop.basins.attractors import Mapper as Mapper
    from dynloop.basins.boundaries.edge import EdgeOrbit as EdgeOrbit
    from dynloop.basins.boundaries.edge import track_edge as track_edge
    from dynloop.basins.boundaries.entropy import BasinEntropy as BasinEntropy
    from dynloop.basins.boundaries.entropy import basin_entropy as basin_entropy
    from dynloop.basins.boundaries.shock import CriticalShock as CriticalShock
    from dynloop.basins.boundaries.shock import minimal_critical_shock as minimal_critical_shock
    from dynloop.basins.boundaries.uncertainty import UncertaintyExponent as UncertaintyExponent
    from dynloop.basins.boundaries.uncertainty import uncertainty_exponent as uncertainty_exponent
    from dynloop.basins.boundaries.wada import WadaTest as WadaTest
    from dynloop.basins.boundaries.wada import wada_test as wada_test
    from dynloop.basins.cells.graph import CellGraph as CellGraph
    from dynloop.basins.cells.graph import cell_graph as cell_graph
    from dynloop.basins.cells.ulam import UlamMatrix as UlamMatrix
    from dynloop.basins.cells.ulam import ulam_matrix as ulam_matrix
    from dynloop.basins.classification import by_classification as by_classification
    from dynloop.basins.features import by_features as by_features
    from dynloop.basins.following import FractionsBranch as FractionsBranch
    from dynloop.basins.following import continue_fractions as continue_fractions
    from dynloop.basins.fractions import BasinFractions as BasinFractions
    from dynloop.basins.fractions import basin_fractions as basin_fractions
    from dynloop.basins.grid import Basins as Basins
    from dynloop.basins.grid import basins as basins
    from dynloop.basins.planes import plane_along_eigenvectors as plane_along_eigenvectors
    from dynloop.basins.planes import plane_along_orbits as plane_along_orbits
    from dynloop.basins.planes import plane_through as plane_through
    from dynloop.basins.prompts import PromptIndependence as PromptIndependence
    from dynloop.basins.prompts import path_independence_of_prompts as path_independence_of_prompts
    from dynloop.basins.proximity import by_proximity as by_proximity
    from dynloop.basins.recurrence import by_recurrence as by_recurrence
    from dynloop.basins.slices import Slice as Slice
    from dynloop.basins.slices import box as box
    from dynloop.basins.slices import plane as plane
    from dynloop.basins.stability import BasinStability as BasinStability
    from dynloop.basins.stability import basin_stability as basin_stability
    from dynloop.calculus.covariant import CovariantVectors as CovariantVectors
    from dynloop.calculus.covariant import covariant_vectors as covariant_vectors
    from dynloop.calculus.gali import Gali as Gali
    from dynloop.calculus.gali import gali as gali
    from dynloop.calculus.jacobian import jacobian as jacobian
    from dynloop.calculus.jacobian import jacobian_operator as jacobian_operator
    from dynloop.calculus.jacobian import token_jacobians as token_jacobians
    from dynloop.calculus.lyapunov import LyapunovSpectrum as LyapunovSpectrum
    from dynloop.calculus.lyapunov import lyapunov_spectrum as lyapunov_spectrum
    from dynloop.calculus.normality import Normality as Normality
    from dynloop.calculus.normality import normality as normality
    from dynloop.calculus.singular import SingularValues as SingularValues
    from dynloop.calculus.singular import singular_values as singular_values
    from dynloop.calculus.spectrum import Spectrum as Spectrum
    from dynloop.calculus.spectrum import multipliers as multipliers
    from dynloop.calculus.spectrum import spectral_radius as spectral_radius
    from dynloop.calculus.weighted_birkhoff import BirkhoffAverage as BirkhoffAverage
    from dynloop.calculus.weighted_birkhoff import weighted_birkhoff as weighted_birkhoff
    from dynloop.diagrams.exponents import ExponentDiagram as ExponentDiagram
    from dynloop.diagrams.exponents import exponent_diagram as exponent_diagram
    from dynloop.diagrams.orbits import OrbitDiagram as OrbitDiagram
    from dynloop.diagrams.orbits import orbit_diagram as orbit_diagram
    from dynloop.diagrams.periods import PeriodDiagram as PeriodDiagram
    from dynloop.diagrams.periods import period_diagram as period_diagram
    from dynloop.diagrams.regimes import RegimeDiagram as RegimeDiagram
    from dynloop.diagrams.regimes import regime_diagram as regime_diagram
    from dynloop.inference.ablation import Ablation as Ablation
    from dynloop.inference.ablation import ablate as ablate
    from dynloop.inference.alignment import StageAlignment as StageAlignment
    from dynloop.inference.alignment import align_stages as align_stages
    from dynloop.inference.attention import attention_stability as attention_stability
    from dynloop.inference.curves import InferenceStages as InferenceStages
    from dynloop.inference.stability import AttentionStability as AttentionStability
    from dynloop.inference.stages import inference_stages as inference_stages
    from dynloop.maps import synthetic as synthetic
    from dynloop.maps import zoo as zoo
    from dynloop.maps.base import LoopMap as LoopMap
    from dynloop.maps.blocks import interpolate as interpolate
    from dynloop.maps.blocks import vary as vary
    from dynloop.maps.clock import with_clock as with_clock
    from dynloop.maps.kernel import KernelMap as KernelMap
    from dynloop.maps.torch import TorchMap as TorchMap
    from dynloop.orbits.branches.record import Bifurcation as Bifurcation
    from dynloop.orbits.branches.record import Branch as Branch
    from dynloop.orbits.certificates.certificate import Certificate as Certificate
    from dynloop.orbits.certificates.certificate import certify as certify
    from dynloop.orbits.certificates.in_box import FixedPointsInBox as FixedPointsInBox
    from dynloop.orbits.certificates.in_box import fixed_points_in_box as fixed_points_in_box
    from dynloop.orbits.continuation import continue_fixed_point as continue_fixed_point
    from dynloop.orbits.continuation import switch_branch as switch_branch
    from dynloop.orbits.fixed_points import find_fixed_points as find_fixed_points
    from dynloop.orbits.floor import precision_floor as precision_floor
    from dynloop.orbits.halting.rules import halting_rules as halting_rules
    from dynloop.orbits.halting.verdict import HaltingRules as HaltingRules
    from dynloop.orbits.paths.independence import path_independence as path_independence
    from dynloop.orbits.paths.verdict import PathIndependence as PathIndependence
    from dynloop.orbits.prompts import PromptSummary as PromptSummary
    from dynloop.orbits.prompts import classify_prompts as classify_prompts
    from dynloop.orbits.recorded import classify_trajectory as classify_trajectory
    from dynloop.orbits.records.verdict import RecordedClassification as RecordedClassification
    from dynloop.orbits.records.verdict import RecordedTokens as RecordedTokens
    from dynloop.orbits.regime import classify as classify
    from dynloop.orbits.rotation import RotationNumber as RotationNumber
    from dynloop.orbits.rotation import rotation_number as rotation_number
    from dynloop.orbits.sections import SectionClassification as SectionClassification
    from dynloop.orbits.sections import classify_sections as classify_sections
    from dynloop.orbits.solved import FixedPoints as FixedPoints
    from dynloop.orbits.trajectory import Trajectory as Trajectory
    from dynloop.orbits.trajectory import trajectory as trajectory
    from dynloop.orbits.unfinished import Unfinished as Unfinished
    from dynloop.orbits.verdict import Classification as Classification
    from dynloop.orbits.verdict import Evidence as Evidence
    from dynloop.orbits.verdict import Regime as Regime
    from dynloop.orbits.zero_one import ZeroOneTest as ZeroOneTest
    from dynloop.orbits.zero_one import zero_one_test as zero_one_test
    from dynloop.result import Status as Status
    from dynloop.result import load as load
    from dynloop.studies.plan import Plan as Plan
    from dynloop.studies.study import Study as Study
    from dynloop.studies.study import study as study
    from dynloop.studies.table import StudyTable as StudyTable
    from dynloop.views.plots.basins import draw_basins as draw_basins
    from dynloop.views.plots.convergence import draw_convergence as draw_convergence
    from dynloop.views.plots.inference import draw_ablation as draw_ablation
    from dynloop.views.plots.inference import draw_attention as draw_attention
    from dynloop.views.plots.inference import draw_stages as draw_stages
    from dynloop.views.plots.lyapunov import draw_lyapunov as draw_lyapunov
    from dynloop.views.plots.multipliers import draw_multipliers as draw_multipliers
    from dynloop.views.plots.orbit import draw_orbit as draw_orbit
    from dynloop.views.plots.regimes import draw_regimes as draw_regimes
    from dynloop.views.plots.sweeps import draw_branch as draw_branch
    from dynloop.views.plots.sweeps import draw_exponent_diagram as draw_exponent_diagram
    from dynloop.views.plots.sweeps import draw_orbit_diagram as draw_orbit_diagram
    from dynloop.views.plots.sweeps import draw_period_diagram as draw_period_diagram
    from dynloop.views.plots.sweeps import draw_regime_diagram as draw_regime_diagram
    from dynloop.views.report import report as report


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _ROOMS:
        value = importlib.import_module(_MOVED.get(name, f"dynloop.{name}"))
    else:
        raise AttributeError(f"dynloop has no public name {name!r}; `dir(dynloop)` lists them")
    globals()[name] = value
    return value


class _Package(ModuleType):
    """A package in which `basins` is the function, whatever room of the house was imported last."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _HOME or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__", *_ROOMS})
