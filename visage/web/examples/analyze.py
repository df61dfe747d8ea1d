import requests

with open("photo.jpg", "rb") as photo:
    response = requests.post(
        "http://localhost:8080/analyze?min_confidence=0.7",
        files={"image": photo},
        headers={"Authorization": "Bearer TOKEN"},
        timeout=60,
    )
response.raise_for_status()
with open("faces.jpg", "wb") as picture:
    picture.write(response.content)
