"""What is truly in an image: source lists, polygons and label images of many programs, in one shape.

`read_truth` reads them. Conventions are converted at the door: angles in degrees east of north, Gaussian full widths at
half maximum in arcsec, fluxes in Jy (or the image's unit), 0-based pixels.
"""

from astroseg.truth.formats import FORMATS
from astroseg.truth.model import model_image, noise_of, truth_labels
from astroseg.truth.reading import Truth, read_truth

__all__ = ["FORMATS", "Truth", "model_image", "noise_of", "read_truth", "truth_labels"]
