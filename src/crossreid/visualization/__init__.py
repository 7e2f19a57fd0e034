"""Figures from results, embeddings and tensors. Each function returns a matplotlib figure and never opens a window.

Needs the extra ``viz`` (matplotlib, scikit-learn).
"""

from crossreid.visualization.auxiliary_curve import auxiliary_curve
from crossreid.visualization.calibration_curves import calibration_figures
from crossreid.visualization.camera_matrix import camera_matrix
from crossreid.visualization.cmc_curves import cmc_curves
from crossreid.visualization.comparison_chart import Panel, Point, comparison_chart
from crossreid.visualization.embedding_map import embedding_map
from crossreid.visualization.heat import heat_pairs
from crossreid.visualization.learning import learning_curves
from crossreid.visualization.methods import method_figures
from crossreid.visualization.pictures import picture_grid
from crossreid.visualization.ranked import ranked_gallery
from crossreid.visualization.similarity_histograms import similarity_histograms
from crossreid.visualization.study_chart import StudyPanel, study_chart
from crossreid.visualization.style import as_png, save

__all__ = [
    "Panel",
    "Point",
    "StudyPanel",
    "as_png",
    "auxiliary_curve",
    "calibration_figures",
    "camera_matrix",
    "cmc_curves",
    "comparison_chart",
    "embedding_map",
    "heat_pairs",
    "learning_curves",
    "method_figures",
    "picture_grid",
    "ranked_gallery",
    "save",
    "similarity_histograms",
    "study_chart",
]
