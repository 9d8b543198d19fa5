"""Pictures of episodes: the policy and the value over the rendered frame, saliency, videos and screenshots."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.visualize.episode_frames import EpisodeFrames as EpisodeFrames
    from a3c_exp.visualize.episode_frames import FrameInfo as FrameInfo
    from a3c_exp.visualize.frame import FrameComposer as FrameComposer
    from a3c_exp.visualize.render_episode import RenderedEpisode as RenderedEpisode
    from a3c_exp.visualize.render_episode import save_frames as save_frames
    from a3c_exp.visualize.saliency import Saliency as Saliency
    from a3c_exp.visualize.screenshots import Screenshots as Screenshots
    from a3c_exp.visualize.video import VideoRecorder as VideoRecorder
    from a3c_exp.visualize.video import VideoWriter as VideoWriter
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        EpisodeFrames="episode_frames",
        FrameComposer="frame",
        FrameInfo="episode_frames",
        RenderedEpisode="render_episode",
        Saliency="saliency",
        Screenshots="screenshots",
        VideoRecorder="video",
        VideoWriter="video",
        save_frames="render_episode",
    )
